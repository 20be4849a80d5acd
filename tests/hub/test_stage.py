"""What is published: the exact folder, its card and its metric, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import ModelCard
from PIL import Image

import gmconv_zoo
from gmconv_zoo._version import REPOSITORY
from gmconv_zoo.hub import stage as stage_module
from gmconv_zoo.hub.measured import choose_measured
from gmconv_zoo.hub.stage import stage
from gmconv_zoo.weights.specs import Stem
from tests.hub.folders import METRIC, RECORD, saved_run, trained

REPO = "gmconv/gmconv_cifar_resnet20.gm_cifar10"


@pytest.fixture(scope="module")
def sgm_folder(tmp_path_factory):
    return gmconv_zoo.save(trained("sgmconv_resnet18", num_classes=10), tmp_path_factory.mktemp("sgm"))


def refused(folder: Path, out: Path, match: str, error: type[Exception] = ValueError, **settings) -> None:
    with pytest.raises(error, match=match):
        stage(folder, out, **{"repo_id": REPO, "measured": None, **settings})


def test_folder_holds_exactly_what_a_user_needs_and_the_spec_describes_it(gm_folder, tmp_path):
    for overwrite in (False, True):  # also over an earlier staging
        staged = stage(gm_folder, tmp_path / "out", repo_id=REPO, measured=METRIC, overwrite=overwrite)
    again = stage(gm_folder, tmp_path / "again", repo_id=REPO, measured=METRIC)
    assert [path.read_bytes() for path in staged.files] == [path.read_bytes() for path in again.files]
    names = sorted(path.name for path in staged.folder.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "results.json"]
    original, found = gmconv_zoo.load(gm_folder), timm.create_model(f"local-dir:{staged.folder}", pretrained=True)
    expected = original.state_dict()
    assert found.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in found.state_dict().items())
    assert "num_classes" not in json.loads((staged.folder / "config.json").read_text())["model_args"]
    spec = staged.spec
    assert (spec.model, spec.tag, spec.conversion) == ("gmconv_cifar_resnet20", "gm_cifar10", "native")
    assert (spec.hf_hub_id, spec.filename, spec.licence) == (REPO, "model.safetensors", "apache-2.0")
    assert (spec.num_classes, spec.input_size, spec.measured, spec.paper) == (10, (3, 32, 32), METRIC, None)
    usual = timm.get_pretrained_cfg("gmconv_cifar_resnet20")
    assert all(getattr(spec, key) == getattr(usual, key) for key in ("crop_pct", "interpolation", "mean", "std"))
    assert staged.no_tag == ""
    card = ModelCard.load(staged.folder / "README.md")
    assert card.text.lstrip().startswith(f"# hf-hub:{REPO}: mask-trained weights\n")
    assert f'timm.create_model("hf-hub:{REPO}", pretrained=True)' in card.text
    assert [result.metric_value for result in card.data.eval_results] == [91.25, 99.5]
    assert "- Parameters: 269,774 " in card.text
    assert "results.json" in card.text


@pytest.mark.parametrize(("classes", "named", "channels"), [(2, True, 3), (4, True, 1), (7, False, 4)])
def test_the_first_snippet_of_a_card_names_the_most_probable_classes(
    classes, named, channels, tmp_path, monkeypatch, capsys
):
    names = [f"kind {number}" for number in range(classes)]
    model = trained("gmconv_cifar_resnet20", num_classes=classes, in_chans=channels)
    folder = gmconv_zoo.save(model, tmp_path / "few", label_names=names if named else None)
    staged = stage(folder, tmp_path / "out", repo_id=REPO, measured=None)
    create = timm.create_model
    local = f"local-dir:{staged.folder}"
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(local, **options))
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 40)).save("image.jpg")
    text = (staged.folder / "README.md").read_text()
    exec(text.partition("### Classify")[2].partition("```python\n")[2].partition("```")[0], {})
    printed = [line.split("%  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == min(5, classes)
    assert set(printed) <= set(names if named else map(str, range(classes)))
    assert f"pip install git+{REPOSITORY}\n" in text


@pytest.mark.parametrize(
    ("record", "said", "base"),
    [
        ({"start": "gmconv_resnet18.from_a1_in1k"}, "gmconv_resnet18.from_a1_in1k", "timm/resnet18.a1_in1k"),
        ({"start": "resnet18"}, "resnet18", "timm/resnet18.a1_in1k"),
        ({"start": "hf-hub:someone/net@v1"}, "hf-hub:someone/net@v1", "someone/net"),
        ({"start": "/home/me/secret/run"}, "run", None),
        ({"model_options": {}}, "random weights", None),
        (
            {"model_options": {"pretrained": True}, "model": "gmconv_resnet18", "tag": "from_a1_in1k"},
            "gmconv_resnet18.from_a1_in1k",
            "timm/resnet18.a1_in1k",
        ),
    ],
)
def test_a_card_says_what_training_started_from(gm_folder, tmp_path, record, said, base):
    run = tmp_path / "run"
    shutil.copytree(gm_folder, run)
    (run / "results.json").write_text(json.dumps({**RECORD, **record}))
    card = ModelCard.load(stage(run, tmp_path / "out", repo_id=REPO, measured=None).folder / "README.md")
    assert f"- Original weights: trained from {said}\n" in card.text
    assert card.data.base_model == base
    assert "| top-1 (%) | not measured |" in card.text
    assert card.data.eval_results is None
    given = stage(run, tmp_path / "given", repo_id=REPO, measured=None, source="a thesis", licence="mit")
    assert (given.spec.source, given.spec.licence) == ("a thesis", "mit")


@pytest.mark.parametrize("name", ["gmconv_cifar_resnet20", "sgmconv_cifar_resnet20"])
def test_untrained_masks_are_said_to_be_untrained(name, tmp_path):
    folder = gmconv_zoo.save(timm.create_model(name, sigma_init=0.3), tmp_path / "untrained")
    staged = stage(folder, tmp_path / "out", repo_id="gmconv/x", measured=None)
    assert staged.kind == "untrained"
    assert "trained with sigma_init=0.3" in staged.no_tag
    assert "# hf-hub:gmconv/x: masks untrained" in (staged.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("layer3.2.conv2.sigma", 5.05),
        ("layer1.0.conv1.sigma", 4.95),
        ("conv1.sigma_module.fc.bias", 5.05),
        ("conv1.sigma_module.fc.weight", 1e-6),
    ],
)
def test_one_mask_parameter_that_moved_is_a_trained_mask(parameter, value):
    model = timm.create_model("gmconv_cifar_resnet20")
    assert not stage_module._masks_are_trained(model)
    with torch.no_grad():
        model.get_parameter(parameter).view(-1)[0] = value
    assert stage_module._masks_are_trained(model)
    rounded = timm.create_model("gmconv_cifar_resnet20", sigma_init=4.9)
    assert not any(stage_module._masks_are_trained(rounded.to(dtype)) for dtype in (torch.float16, torch.bfloat16))


def test_fused_folder_is_timms_plain_network(sgm_folder, tmp_path):
    staged = stage(sgm_folder, tmp_path / "out", repo_id="gmconv/plain", measured=METRIC, fused=True)
    config = json.loads((staged.folder / "config.json").read_text())
    assert config["architecture"] == "resnet18"
    plain = timm.create_model(f"local-dir:{staged.folder}", pretrained=True).eval()
    assert type(plain) is timm.models.resnet.ResNet
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(plain(images), gmconv_zoo.load(sgm_folder)(images), rtol=1e-4, atol=1e-4)
    text = (staged.folder / "README.md").read_text()
    assert "import gmconv_zoo" not in text
    assert "measured before the masks were folded in" in text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fused": True}, "conv1 has a dynamic mask"),
        ({"licence": "cc-by-nc-4.0"}, "licence 'cc-by-nc-4.0' is not one of"),
        *(
            ({"repo_id": repo}, rf"repo '{repo}': pass ORG/NAME")
            for repo in ("net", "org/", "a/b/c", "org/my net", "org/..", "org/net.git")
        ),
    ],
)
def test_what_cannot_be_published_is_refused_before_anything_is_written(gm_folder, tmp_path, settings, said):
    refused(gm_folder, tmp_path / "out", said, **settings)
    assert not (tmp_path / "out").exists()


def test_network_converted_after_building_is_published_fused_only_and_one_that_timm_has_not_never(tmp_path):
    own = gmconv_zoo.save(timm.create_model("sgmconv_cifar_resnet20"), tmp_path / "own")
    refused(own, tmp_path / "out", "timm has no plain network", fused=True)
    model = gmconv_zoo.convert(timm.create_model("resnet10t", num_classes=3), stem="static")
    folder = gmconv_zoo.save(model, tmp_path / "model")
    refused(folder, tmp_path / "out", "timm cannot rebuild a network that was converted after it was built")
    assert not (tmp_path / "out").exists()
    assert stage(folder, tmp_path / "out", repo_id=REPO, measured=None, fused=True).spec.model == "resnet10t"
    fused = gmconv_zoo.save(gmconv_zoo.fuse(model), tmp_path / "fused")
    refused(fused, tmp_path / "again", "publish it as fused")


def test_folder_with_other_files_and_the_published_one_are_not_touched(gm_folder, tmp_path):
    (tmp_path / "config.json").write_text("mine")
    (tmp_path / "thesis.tex").write_text("mine")
    refused(gm_folder, tmp_path, r"holds a network \(config.json\)")
    (tmp_path / "config.json").rename(tmp_path / "README.md")
    refused(gm_folder, tmp_path, "holds thesis.tex")
    assert (tmp_path / "README.md").read_text() == "mine"
    refused(gm_folder, gm_folder, "is one of the inputs, which would be lost", overwrite=True)


def test_folder_that_reads_back_otherwise_is_refused(gm_folder, tmp_path, monkeypatch):
    def save_wrongly(model, folder):
        with torch.no_grad():
            changed = gmconv_zoo.load(gm_folder)
            changed.fc.bias += 1
        return gmconv_zoo.save(changed, folder)

    monkeypatch.setattr(stage_module, "save", save_wrongly)
    refused(gm_folder, tmp_path / "out", "not those that were written", RuntimeError)


def test_a_metric_is_that_of_the_record_or_given_with_dataset_and_origin_or_declared_absent(gm_folder, tmp_path):
    metric = choose_measured(gm_folder)
    assert (metric.top1, metric.top5, metric.dataset) == (91.25, 99.5, "CIFAR-10 test")
    assert metric.origin == "results.json, gmconv_zoo 0.1.0, commit abc, torch 2.15, a CPU"
    with pytest.raises(ValueError, match=r"has no config\.json: pass a folder that"):
        choose_measured(tmp_path)
    (tmp_path / "config.json").touch()
    with pytest.raises(ValueError, match="records no score: pass the measured --top1"):
        choose_measured(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps({"score": RECORD["score"]}))
    with pytest.raises(ValueError, match="does not say what was measured"):
        choose_measured(tmp_path)
    assert choose_measured(tmp_path, dataset="digits").dataset == "digits"
    assert choose_measured(gm_folder, dataset="digits").dataset == "digits"
    environment = {"gpu": "a GPU", "processor": "a CPU"}
    (tmp_path / "results.json").write_text(json.dumps({**RECORD, "environment": environment}))
    assert choose_measured(tmp_path).origin == "results.json, a GPU"
    chosen = {**RECORD, "environment": environment, "epoch_selected_on_validation": True}
    (tmp_path / "results.json").write_text(json.dumps(chosen))
    assert choose_measured(tmp_path).origin == "results.json, epoch chosen on these images, a GPU"
    assert choose_measured(tmp_path, absent=True) is None
    metric = choose_measured(tmp_path, top1=90.0, dataset="CIFAR-10 test", origin="evaluate.py on one CPU")
    assert (metric.top1, metric.top5, metric.origin) == (90.0, None, "evaluate.py on one CPU")
    assert metric.date
    for options in ({}, {"absent": True}, {"top1": 90.0, "dataset": "a test", "origin": "here"}):
        with pytest.raises(ValueError, match=r"the folder .*nope does not exist"):
            choose_measured(tmp_path / "nope", **options)


@pytest.mark.parametrize("content", ["{", "[]", '{"score": {}}', '{"score": {"top1_percent": "high"}}'])
def test_damaged_record_is_named(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results.json is not a record"):
        choose_measured(tmp_path, dataset="a test")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top1": 300.0}, "top1=300: pass an accuracy in percent"),
        ({"top1": 90.0, "top5": 190.0}, "top5=190: pass an accuracy in percent, from top1=90 to 100"),
        ({"top1": 90.0, "top5": 80.0}, "top5=80: pass an accuracy in percent, from top1=90 to 100"),
        ({"top5": 80.0}, "belong to a top1 "),
        ({}, "belong to a top1 "),
        ({"top1": 90.0, "absent": True}, "excludes a measured accuracy"),
        ({"top1": 90.0, "origin": ""}, r"as dataset \(--dataset\) and origin \(--origin\)"),
    ],
)
def test_an_accuracy_is_a_percentage_and_is_not_given_in_part(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        choose_measured(tmp_path, **{"dataset": "a test", "origin": "here", **given})


def test_stem_that_training_recorded_is_on_the_card(tmp_path):
    stem = {"mask_spread": 0.031, "live": [1.0, 0.5], "images": 256}
    folder = saved_run(tmp_path / "run", {**RECORD, "stem": stem})
    staged = stage(folder, tmp_path / "out", repo_id="org/net", measured=None)
    assert staged.spec.stem == Stem(0.031, (1.0, 0.5), 256)
    assert "its mask varies by 0.031 over 256 validation images" in (staged.folder / "README.md").read_text()
    (folder / "results.json").write_text(json.dumps({"stem": {"mask_spread": 0.031}}))
    with pytest.raises(ValueError, match="not a record that training wrote"):
        stage(folder, tmp_path / "again", repo_id="org/net", measured=None)
