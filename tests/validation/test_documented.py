"""Documented accuracies are compared with counts over the full ImageNet validation set, and with nothing else."""

import dataclasses
import random

import pytest
import timm

from gmconv_zoo.classify.evaluate import Score
from gmconv_zoo.data.class_order import check_imagenet_classes
from gmconv_zoo.images.image_source import ImageSource
from gmconv_zoo.validation import documented
from gmconv_zoo.validation import run as run_module
from gmconv_zoo.validation.run import run_validation
from gmconv_zoo.validation.settings import ValidationRow, ValidationSettings
from gmconv_zoo.weights.specs import SPECS, Metric, WeightSpec

from .linear import NAME, image_bytes

WNIDS = timm.data.ImageNetInfo().label_names()
IMAGENET = "ImageNet-1k validation"
SETTINGS = ValidationSettings(workers=0)


def spec(top1=86.0, top5=90.0, **changes) -> WeightSpec:
    model, _, tag = NAME.partition(".")
    upstream = Metric(top1, top5, IMAGENET, "computed")
    return WeightSpec(model, tag, "native", "apache-2.0", "made", **{"packaged": "x", "upstream": upstream, **changes})


def source(names=WNIDS, *, count=50_000, ordered=False) -> ImageSource:
    return ImageSource("set", range(count), names, ordered)


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setitem(SPECS, NAME, spec())


@pytest.mark.parametrize(
    ("top1", "problem"),
    [(43_000, ""), (43_050, ""), (42_950, ""), (43_051, "off by +0.102 points"), (42_949, "off by -0.102 points")],
)
def test_a_tenth_of_a_point_is_tolerated(known, top1, problem):
    first, second = documented.compare([ValidationRow(NAME, Score(50_000, top1, 45_000))])
    assert (first.metric, first.problem, second.metric, second.problem) == ("top1", problem, "top5", "")


def test_fewer_counted_images_are_a_problem(known):
    for item in documented.compare([ValidationRow(NAME, Score(49_999, 43_000, 45_000), bad=1)]):
        assert item.problem == "49,999 images instead of 50,000"


def test_failed_model_is_a_problem(known):
    first, _ = documented.compare([ValidationRow(NAME, error="OSError: no weights")])
    assert (first.measured, first.problem) == (None, "OSError: no weights")
    assert "OSError: no weights" in documented.comparison_table([first])


def test_what_was_measured_here_goes_before_what_the_source_says(monkeypatch):
    measured = Metric(70.0, None, IMAGENET, "here")
    monkeypatch.setitem(SPECS, NAME, spec(measured=measured))
    (only,) = documented.compare([ValidationRow(NAME, Score(50_000, 35_000, 40_000))])
    assert (only.metric, only.documented, only.problem) == ("top1", 70.0, "")


def test_number_of_another_set_is_not_compared(monkeypatch):
    other = Metric(91.0, None, "CIFAR-10 test", "here")
    monkeypatch.setitem(SPECS, NAME, spec(upstream=None, measured=other))
    assert NAME not in documented.documented_models()
    with pytest.raises(ValueError, match=r"is documented for fixture_linear\.bits, resnet18"):
        documented.documented_models([NAME, "resnet18"])
    with pytest.raises(ValueError, match=r"is documented for resnet18: leave it out of --model"):
        documented.documented_models(["gmconv_resnet50", "resnet18"])  # not verified in silence


def test_names_and_patterns_give_those_of_their_models_that_are_documented_on_imagenet_or_all_of_them():
    everything = documented.documented_models()
    assert len(everything) == len([s for s in SPECS.values() if (s.measured or s.upstream).dataset == IMAGENET]) >= 15
    assert documented.documented_models(["gmconv_resnet50"]) == ["gmconv_resnet50.from_tv_in1k"]
    names = documented.documented_models(["gmconv_*", "gmconv_resnet50"])
    assert sorted(names) == sorted(name for name in everything if name.startswith("gmconv_")) != []
    assert "gmconv_cifar_resnet20.gm_cifar10" in timm.list_pretrained("gmconv_*")
    with pytest.raises(ValueError, match=r"is documented for gmconv_cifar\*: leave it out"):
        documented.documented_models(["gmconv_cifar*", "gmconv_*"])


def test_each_number_is_verified_at_the_size_its_origin_names():
    at_training_size = documented.train_sized(documented.documented_models())
    assert {name.partition("_")[2] for name in at_training_size} == {"resnet18.from_a1_in1k", "resnet50.from_a1_in1k"}
    for name, known_spec in SPECS.items():
        metric = documented.documented_metric(known_spec)
        if metric is not None and " at " in metric.origin:
            tested = known_spec.test_input_size or known_spec.input_size
            size = known_spec.input_size if name in at_training_size else tested
            assert metric.origin.endswith(f"at {size[1]}")


WORDS = [timm.data.ImageNetInfo().index_to_description(index) for index in range(1000)]


def test_order_is_known_by_wordnet_ids_or_words():
    assert "by WordNet id" in check_imagenet_classes(source())
    assert check_imagenet_classes(source(WORDS, ordered=True)).startswith("by name, 1,000 as timm.data.ImageNetInfo")
    first = [words.split(",")[0].upper().replace(" ", "_") for words in WORDS]
    assert "by name, 1,000" in check_imagenet_classes(source(first, ordered=True))
    odd = [*WORDS[:517], "crane2", *WORDS[518:]]
    assert check_imagenet_classes(source(odd, ordered=True)).endswith("1 unknown, e.g. 'crane2'")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (source(count=49_999), "49,999 images; the full ImageNet-1k validation set has 50,000"),
        (source([*WNIDS[:-1], "n00000000"]), "does not have the 1,000 classes"),
        (source(WNIDS[:-1]), "does not have the 1,000 classes"),
        (source([f"class {i}" for i in range(1000)]), "folders named by WordNet id"),
        (source([*WNIDS[1:], WNIDS[0]], ordered=True), "not in ImageNet-1k's order"),
        (source([WORDS[1], WORDS[0], *WORDS[2:]], ordered=True), r"class 0 is 'goldfish.* \(2 differ\)"),
        (source([f"class {i}" for i in range(1000)], ordered=True), "class 0 is 'class 0' there and 'tench, Tinca tin"),
        (source([*WORDS[:900], *(f"odd {i}" for i in range(100))], ordered=True), r"class 900 .*\(100 differ\)"),
        (source(None, ordered=True), r"has numbers as labels and does not name their classes: pass .*--classes"),
    ],
    ids=["count", "other", "few", "words", "turned", "swapped", "none known", "many unknown", "unnamed"],
)
def test_other_sets_and_orders_are_refused_before_evaluating(known, made, said):
    with pytest.raises(ValueError, match=said):
        run_validation([NAME], made, SETTINGS, verify=True)


@pytest.mark.parametrize("changes", [{"crop_pct": 0.9}, {"image_size": 288}, {"train_input_size": True}], ids=str)
def test_other_preprocessing_is_refused(changes):
    with pytest.raises(ValueError, match=f"leave out {next(iter(changes))}"):
        documented.check_full_imagenet(source(), dataclasses.replace(SETTINGS, **changes))


@pytest.mark.parametrize(("top1", "top5", "problems"), [(86.0, 90.0, 0), (86.101, 90.0, 1), (86.0, 89.899, 1)], ids=str)
def test_a_validation_that_verifies_is_ok_where_every_documented_number_is_met(monkeypatch, top1, top5, problems):
    monkeypatch.setitem(SPECS, NAME, spec(top1, top5))
    counted = ValidationRow(NAME, Score(50_000, 43_000, 45_000))
    monkeypatch.setattr(run_module, "validate_one", lambda *_: counted)
    report = run_validation([NAME], source(), SETTINGS, verify=True, cpu=True)
    assert (report.status, report.text.count("off by ")) == (problems > 0, problems)
    assert report.text.count(" ok\n") == 2 - problems


@pytest.mark.slow
def test_the_whole_validation_set_of_the_development_kit_agrees_with_the_right_number(tmp_path, known, gmconv):
    chance = random.Random(0)
    kinds = ["right"] * 43 + ["second"] * 2 + ["last"] * 5
    images = [(label, kind) for label in range(1000) for kind in kinds]
    chance.shuffle(images)
    ids = list(range(1, 1001))
    chance.shuffle(ids)
    made = {pair: image_bytes(*pair) for pair in sorted(set(images))}
    (tmp_path / "flat").mkdir()
    for number, pair in enumerate(images, start=1):
        (tmp_path / "flat" / f"ILSVRC2012_val_{number:08}.JPEG").write_bytes(made[pair])
    (tmp_path / "map_clsloc.txt").write_text("".join(f"{WNIDS[i]} {ids[i]} word\n" for i in range(1000)))
    (tmp_path / "truth.txt").write_text("".join(f"{ids[label]}\n" for label, _ in images))
    data = (tmp_path / "flat", "--labels", tmp_path / "truth.txt", "--workers", "0", "--batch-size", "500")
    status, out, _ = gmconv("validate", *data, "--model", NAME, "--verify", "--device", "cpu")
    assert status == 0, out
    assert "top-1 86.000 % (43000/50000)  top-5 90.000 % (45000/50000)" in out
    assert "class order: by WordNet id" in out
    assert out.count(" ok\n") == 2
