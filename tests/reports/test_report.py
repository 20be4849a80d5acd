"""The report about a classifier: counted by hand, escaped, complete in itself, and clear about what it lacks."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import timm
import torch
from scipy.stats import binomtest
from torch import nn

import gmconv_zoo
from gmconv_zoo.classify.evaluate import Answers, BadImagesError
from gmconv_zoo.files.state_file import write_state
from gmconv_zoo.reports import classifier as module
from gmconv_zoo.reports.answers import AnswerSections
from gmconv_zoo.reports.page import Section, write_page
from gmconv_zoo.reports.sections import field_section
from gmconv_zoo.saving import detectors
from gmconv_zoo.weights.specs import SPECS
from tests.reports.report_run import CLASSES, FILE, noise, save_images, save_run, write_report


class Page(HTMLParser):
    """What a browser makes of a page: elements with their attributes, and the text of each section by its heading."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.sections, self._open = [], {"": ""}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data):
        if self._open == "h2" and data.strip():
            self.sections[data] = ""
        self.sections[list(self.sections)[-1]] += data
        self._open = ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(autouse=True)
def _speed_is_hardly_measured(monkeypatch):
    monkeypatch.setattr(module, "_PASSES", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def text(folder):
    with pytest.MonkeyPatch.context() as patch:
        return write_report(folder, patch, mistakes=9).read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture(scope="module")
def counted(folder, text):
    """Labels and logits of the images that can be read, computed one by one, with the place of each."""
    model = gmconv_zoo.load(folder / "run")
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    images = [(place, noise(10 * place + number)) for place in range(3) for number in range(5)]
    with torch.inference_mode():
        logits = torch.cat([model(transform(image).unsqueeze(0)) for _, image in images])
    return torch.tensor([place for place, _ in images]), logits


def test_page_needs_nothing_from_outside(page, text):
    sources = [
        value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.findall(r"url\(|@import", text)
    assert "default-src 'none'" in next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)


def test_names_of_classes_and_files_are_text_and_paths_of_the_machine_are_left_out(folder, page, text):
    assert not page.all("script")
    assert not [attributes for _, attributes in page.elements if any(name.startswith("on") for name in attributes)]
    assert CLASSES[0] in page.sections["Accuracy"]
    assert any(FILE in image["alt"] for image in page.all("img"))
    assert str(folder) not in text
    assert "16 of photos" in text


def test_page_can_be_used_without_seeing_it(page):
    headings = [tag for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert headings == ["h1", *["h2"] * (len(headings) - 1)]
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [link["href"] for link in page.all("a")]
    assert links[0] == "#content"
    assert {link[1:] for link in links} == set(ids)
    assert page.all("html") == [{"lang": "en"}]
    assert all("tabindex" in part for part in page.all("div") if "scroll" in part["class"])


def test_network_and_its_training_are_described(page):
    said = page.sections["What the network is"]
    parameters = sum(value.numel() for value in timm.create_model("gmconv_cifar_resnet20", num_classes=3).parameters())
    assert f"{parameters:,}" in said
    assert "19 of 19 convolutions have a Gaussian mask (1 dynamic, 18 static)" in said
    assert "trained on 32 images, started from run" in said
    assert "62.5 % (5 of 8) on held-out part of photos" in said
    assert "0.9" in page.sections["Training curves"]
    net = nn.Identity()
    net.pretrained_cfg = {"input_size": (3, 24, 48)}
    assert module._about("no name", net, {})["Image size"] == "48 x 24 pixels, 3 channels"


def test_every_section_has_its_picture_and_speed_is_rough_and_of_the_fused_network_too(page):
    alts = [image["alt"] for image in page.all("img")]
    words = ("Masks of 19", "Sigma by depth", "Effective kernel", "first stage. run:", "last stage. run:", "Confusion")
    assert [sum(word in alt for alt in alts) for word in words] == [1] * 6
    assert sum("stdconv_cifar_resnet20.cifar10: 20 % in" in alt for alt in alts) == 2  # the packaged twin
    assert any("over 3 epochs; the highest accuracy is 62.5 %" in alt for alt in alts)
    assert "the boxes show them for 15 images" in page.sections["Sigmas and kernel sizes by depth"]
    said = page.sections["Speed"]
    assert "rough figure" in said
    for form in ("as it is", "fused"):
        milliseconds, speed = re.search(rf"{form}, 8 images at once\s*([\d.]+) ms, ([\d,]+) images", said).groups()
        assert float(speed.replace(",", "")) == pytest.approx(8000 / float(milliseconds), rel=0.05)


def test_accuracy_is_counted_with_wilsons_interval(page, counted):
    labels, logits = counted
    right = int((logits.argmax(1) == labels).sum())
    low, high = binomtest(right, 15).proportion_ci(method="wilson")
    said = page.sections["Accuracy"]
    assert f"({right} of 15)" in said
    assert f"{100 * low:.1f} to {100 * high:.1f} %" in said
    assert "split off from its training images" in said
    assert "cannot be read (1): d/broken.png (not an image)" in said


def test_worst_mistakes_are_those_of_highest_loss(page, counted):
    labels, logits = counted
    loss = nn.functional.cross_entropy(logits, labels, reduction="none")
    wrong = sorted((i for i in range(15) if logits[i].argmax() != labels[i]), key=lambda i: -loss[i])[:9]
    expected = []
    for i in wrong:
        probability, taken = logits[i].softmax(0).max(0)
        expected.append(f"{CLASSES[labels[i]]}, taken for {CLASSES[taken]} ({100 * probability:.1f} %)")
    shown = [image["alt"].rpartition(": ")[2] for image in page.all("img") if "taken for" in image["alt"]]
    assert shown == expected


def answers(labels: list[int], predicted: list[int], names: list[str]) -> AnswerSections:
    found, logits = Answers(), torch.eye(len(names))[predicted]
    found.update(found.rows(logits, torch.tensor(labels)))
    return AnswerSections(found, names, None, [])


def test_classes_that_do_not_occur_are_left_out_and_many_are_a_table_of_the_most_frequent_mistakes():
    names, matrix = answers([2, 2, 7, 2], [7, 2, 7, 7], [str(number) for number in range(9)]).confusion
    assert (names, matrix.tolist()) == (["2", "7"], [[1, 2], [0, 1]])
    labels = [*range(70), 3, 3, 5]
    section = answers(labels, [*range(70), 4, 4, 6], [f"class {n}" for n in range(70)]).confusion_section()
    assert not section.figures
    assert section.tables["Most frequent mistakes"][1:] == [("class 3", "class 4", 2), ("class 5", "class 6", 1)]


def test_the_five_most_probable_classes_and_every_class_are_counted():
    found, logits = Answers(), torch.arange(7.0).flip(0).expand(4, 7)  # a is the most probable, g the least
    found.update(found.rows(logits, torch.tensor([0, 0, 4, 6])))
    section = AnswerSections(found, list("abcdefg"), None, []).accuracy_section()
    low, high = binomtest(3, 4).proportion_ci(method="wilson")
    assert section.text[1].startswith("For 75.0 % of the images (3), the true class is among the five")
    assert f"the interval is {100 * low:.1f} to {100 * high:.1f} %" in section.text[1]
    rows = section.tables["Accuracy by class"][1:]
    assert [row[:4] for row in rows] == [("a", 2, 2, "100.0 %"), ("e", 1, 0, "0.0 %"), ("g", 1, 0, "0.0 %")]
    low, high = binomtest(0, 1).proportion_ci(method="wilson")
    assert rows[1][4] == f"{100 * low:.1f} to {100 * high:.1f} %"


@pytest.mark.parametrize(("predicted", "poor"), [([1, 2, 2, 1], False), ([1, 2, 0, 0], True)])
def test_answers_at_chance_are_pointed_out(predicted, poor):
    said = " ".join(answers([0, 1, 2, 1], predicted, ["a", "b", "c"]).accuracy_section().text)
    assert ("not above chance" in said) == poor


def test_network_without_masks_and_without_images_says_what_is_missing(tmp_path):
    page = Page(gmconv_zoo.report("stdconv_cifar_resnet20.cifar10", output=tmp_path / "a.html").read_text())
    assert "has no Gaussian masks" in page.sections["Masks by layer"]
    assert "0 of 19 convolutions" in page.sections["What the network is"]
    assert "apache-2.0" in page.sections["What the network is"]
    for section in module._SEEN:
        assert "--data" in page.sections[section]
    assert "folder of a training" in page.sections["Training curves"]
    assert "fused" not in page.sections["Speed"]
    assert not page.all("img")


def test_static_masks_of_a_network_with_a_dynamic_stem_are_drawn_without_images(tmp_path):
    page = Page(gmconv_zoo.report("gmconv_cifar_resnet20.gm_cifar10", output=tmp_path / "a.html").read_text())
    assert "dynamic layers depend on the image" in page.sections["Masks by layer"]
    assert any("Masks of 18 layers" in image["alt"] for image in page.all("img"))


def test_field_that_is_cut_off_or_cannot_be_measured_is_said():
    small = nn.Sequential(nn.Conv2d(3, 4, 9, padding=4))
    section = field_section({"a$b$": small}, torch.rand(2, 3, 5, 5))
    assert any("cuts off the field of the last stage" in said for said in section.text)
    assert any("--twin" in said for said in section.text)
    nn.init.zeros_(small[0].weight)
    assert any("cannot be measured" in said for said in field_section({"a": small}, torch.rand(2, 3, 5, 5)).text)


def test_any_text_is_written(tmp_path):
    section = Section("a", ["\udce9 <b>\x00 \n猫"], tables={"t": [("&", "x"), ("<", 1)]})
    text = write_page(tmp_path / "a.html", "<title>", "s", [section]).read_text()
    assert "\\udce9 &lt;b&gt;\\x00 \\n猫" in text
    assert "<h1>&lt;title&gt;</h1>" in text


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.packaged and ".gm_" in name])
def test_weights_that_ship_have_a_small_report(name):
    path = Path(__file__).parents[2] / "docs" / "reports" / f"{name}.html"
    assert path.stat().st_size < 700_000
    assert f"<h1>{name}</h1>" in path.read_text(encoding="utf-8")


def test_what_cannot_be_reported_is_said_before_any_work_without_asking_the_hub(gmconv, monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(detectors, "hub_file", lambda name, _: pytest.fail(f"the Hub was asked for {name}"))
    for arguments, said in (
        (["no_model", "--mistakes", "-1"], "mistakes=-1: pass at least 0"),
        (["resnet18", "--data", tmp_path / "empty"], "empty has no class folders"),
        ([tmp_path / "empty"], "has no config"),
        (["nothing", "--data", "neither"], "'nothing' is not a folder, a model that timm knows, or a Hub repository"),
    ):
        assert said in gmconv("report", *arguments, "--output", tmp_path / "a.html")[0]


def test_image_that_cannot_be_read_and_outputs_that_are_not_finite_stop_the_report(tmp_path):
    data = save_images(tmp_path / "photos", count=2)
    (data / "d" / "0.png").write_bytes(b"no image")
    run = save_run(tmp_path / "run")
    with pytest.raises(BadImagesError, match=r"0\.png \(not an image\).*--skip-bad"):
        gmconv_zoo.report(str(run), data, output=tmp_path / "a.html")
    model = gmconv_zoo.load(run)
    nn.init.constant_(model.fc.weight, 3e38)  # finite, but its products are not
    gmconv_zoo.save(model, run)
    with pytest.raises(ValueError, match="outputs are not finite"):
        gmconv_zoo.report(str(run), data, output=tmp_path / "a.html", skip_bad=True)
    assert not (tmp_path / "a.html").exists()


def test_checkpoint_of_a_one_channel_network_is_shown_with_one_channel(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "mask_sections", lambda *_: [])
    options = {"in_chans": 1}
    weights = timm.create_model("sgmconv_cifar_resnet20", num_classes=3, **options).state_dict()
    identity = {"model": "sgmconv_cifar_resnet20", "classes": CLASSES, "model options": options}
    write_state(tmp_path / "last.safetensors", {"identity": identity, "model": weights, "ema": None})
    page = gmconv_zoo.report(str(tmp_path / "last.safetensors"), output=tmp_path / "report.html")
    assert "32 x 32 pixels, 1 channels" in page.read_text()
