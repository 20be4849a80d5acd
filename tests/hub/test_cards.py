"""Model cards are held to the specs, to counts and to what huggingface_hub reads."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import ModelCard
from PIL import Image

import gmconv_zoo
from gmconv_zoo.hub.cards import card_of
from gmconv_zoo.hub.profile import profile, profile_registered
from gmconv_zoo.weights.specs import SPECS, Metric, Stem, WeightSpec, get_spec

ROOT = Path(__file__).parents[2]
MEASURED = Metric(91.25, 99.5, "CIFAR-10 test", "evaluated on one CPU", date="2026-01-02")
PAPER = Metric(91.81, None, "CIFAR-10 test", "Table I of the paper")


def mask_trained(**fields) -> WeightSpec:
    """A spec as publishing makes one, with a measured and a paper metric that differ."""
    return replace(
        get_spec("gmconv_resnet18.from_tv_in1k"),
        model="gmconv_cifar_resnet20",
        tag="gm_cifar10",
        conversion="native",
        num_classes=10,
        input_size=(3, 32, 32),
        source="trained from scratch",
        upstream=None,
        measured=MEASURED,
        paper=PAPER,
        **fields,
    )


def snippets(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", SPECS)
def test_a_card_says_what_the_weights_are_and_claims_only_what_was_measured_with_them(name):
    spec, path = SPECS[name], ROOT / "model_cards" / f"{name}.md"
    card, own, plain = ModelCard.load(path), spec.conversion == "native", name.startswith("stdconv_")
    title, _, headline = card.text.lstrip().splitlines()[:3]
    assert title.startswith(f"# {name}: ")
    assert ("no masks" if plain else "mask-trained weights" if own else "converted weights, masks untrained") in title
    assert spec.source in headline
    assert (card.data.license, card.data.library_name) == (spec.licence, "timm")
    assert card.data.base_model == (spec.hf_hub_id or None)
    assert (f"Recipe: {spec.recipe}" in card.text) == own == ("that of the source" not in card.text)
    found = snippets(path.read_text())
    assert len(found) == (4 if plain else 5)
    assert all(snippet.startswith("import gmconv_zoo") for snippet in found)
    row = next(line for line in card.text.splitlines() if line.startswith("| top-1"))
    measured, published, paper = (cell.strip() for cell in row.split("|")[2:5])
    if own:
        assert (measured, published, paper) == (f"{spec.measured.top1:g}", "none published", "none for this recipe")
        assert [result.dataset_type for result in card.data.eval_results] == ["cifar10", "cifar10"]
    else:
        assert (measured, float(published)) == ("not measured", spec.upstream.top1)
        assert paper.startswith("does not apply")
        assert card.data.eval_results is None


def test_snippets_run(tmp_path, monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **kwargs: create(name, **kwargs))
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (300, 260)).save("image.jpg")
    results = {}
    for snippet in snippets((ROOT / "model_cards" / "gmconv_resnet18.from_tv_in1k.md").read_text()):
        exec(snippet, results)
    assert results["values"].shape == (5,)
    assert results["shapes"][-1] == (1, 512, 7, 7)
    assert results["embedding"].shape == (1, 512)
    assert [row.target for row in gmconv_zoo.conversion_report(results["fused"]).converted] == ["dynamic"]


def test_measured_and_paper_numbers_stand_in_their_own_columns_and_only_measured_ones_in_the_index():
    text = card_of(mask_trained())
    assert "| top-1 (%) | 91.25 | none published | 91.81 |" in text
    assert "| top-5 (%) | 99.5 | none published | none for this recipe |" in text
    assert "Measured: CIFAR-10 test, evaluated on one CPU, 2026-01-02." in text
    assert "The Gaussian masks were trained together with the kernels." in text
    card = ModelCard(text)
    assert card.data.model_name == "gmconv_cifar_resnet20.gm_cifar10"
    found = [(result.metric_name, result.metric_value, result.dataset_type) for result in card.data.eval_results]
    assert found == [("Top-1 accuracy", 91.25, "cifar10"), ("Top-5 accuracy", 99.5, "cifar10")]
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()


@pytest.mark.parametrize(
    ("name", "gmacs"),  # as published for the plain networks
    [
        ("gmconv_resnet18", 1.81),
        ("sgmconv_resnet50", 4.09),
        ("gmconv_mobilenetv2", 0.30),
        ("stdconv_alexnet", 0.71),
        ("gmconv_cifar_resnet56", 0.126),
    ],
)
def test_profile_counts_the_published_operations(name, gmacs):
    assert profile_registered(name).macs / 1e9 == pytest.approx(gmacs, rel=0.02)


def test_profile_counts_a_layer_as_its_formula_does():
    with torch.device("meta"):
        conv = gmconv_zoo.SGMConv2d(3, 8, 5, padding=2, stride=2)
    counts = profile(conv, (3, 12, 10))
    outputs = 8 * 6 * 5
    assert counts.activations == outputs
    assert counts.macs == outputs * 3 * 5 * 5
    assert counts.parameters == 8 * 3 * 5 * 5 + 8 + 1
    usual, small = (profile_registered("gmconv_cifar_resnet20", num_classes=classes) for classes in (10, 3))
    assert usual.parameters - small.parameters == 7 * 65


def test_card_says_what_the_dynamic_stem_does_and_whether_it_is_nearly_static():
    card = card_of(mask_trained(stem=Stem(0.19, (1.0, 0.992, 0.9, 0.5), 10_000, 1234)))
    assert "- Dynamic stem: its mask varies by 0.19 over 10,000 validation images" in card
    assert "above 0 on 100, 99, 90, 50 % of them; with the sigmas of another image, 1,234 of 10,000 predictions" in card
    assert "nearly static" not in card
    card = card_of(mask_trained(stem=Stem(0.0199, (1.0,), 256)))
    assert "**This stem is nearly static**: a stem counts as dynamic from 0.02 on" in card
    assert "predictions change" not in card
