"""Explanations of one image with the weights that ship in the package."""

from functools import partial

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import gmconv_zoo
from gmconv_zoo.files.records import read_rows
from gmconv_zoo.images.pixels import UnreadableImageError
from gmconv_zoo.visualize.explain import Explanation
from gmconv_zoo.visualize.explanation_figure import _level, draw_explanation
from gmconv_zoo.visualize.receptive_field import receptive_field
from tests.reports.report_run import noise


@pytest.fixture(scope="module")
def model():
    return timm.create_model("gmconv_cifar_resnet20.gm_cifar10", pretrained=True)


def test_explanation_agrees_with_the_network(model):
    found = gmconv_zoo.explain(model, noise())
    config = timm.data.resolve_model_data_config(model, use_test_size=True)
    x = timm.data.create_transform(**config)(noise()).unsqueeze(0)
    assert model.training
    model.eval()
    x.requires_grad_()
    logits = model(x)
    best = logits[0].topk(5)
    names = model.pretrained_cfg["label_names"]
    assert [name for name, _ in found.classes] == [names[index] for index in best.indices]
    assert [share for _, share in found.classes] == pytest.approx(logits[0].softmax(0)[best.indices].tolist())
    stem = gmconv_zoo.dynamic_masks(model, x.detach())["conv1"]
    assert found.sigma == pytest.approx(stem.sigma[0].tolist())
    torch.testing.assert_close(found.stem.values(), stem.mask[0])
    torch.testing.assert_close(
        found.picture, torch.tensor(list(noise().tobytes())).view(32, 32, 3).permute(2, 0, 1) / 255
    )
    assert found.evidence.shape == (32, 32)
    assert found.evidence.sum().item() == pytest.approx(1)
    model.train()


@pytest.mark.parametrize("wrap", [torch.nn.DataParallel, partial(torch.compile, backend="eager")])
def test_a_wrapped_network_is_explained_as_the_network_inside(model, wrap):
    wrapped = wrap(model)
    with torch.no_grad():
        wrapped.eval()(torch.rand(1, 3, 32, 32))  # compiled code ignores later hooks
    found, expected = (gmconv_zoo.explain(net, noise()) for net in (wrapped, model))
    assert found.classes == expected.classes
    assert torch.equal(found.evidence, expected.evidence)
    assert receptive_field(wrapped, torch.ones(1, 3, 32, 32)).layer == "layer3"
    model.train()


def test_distance_to_the_mean_is_measured_or_given(model):
    several = [noise(seed) for seed in range(4)]
    measured = gmconv_zoo.explain(model, several[0], images=several)
    sigmas = torch.tensor([gmconv_zoo.explain(model, image).sigma for image in several])
    assert measured.mean_sigma == pytest.approx(sigmas.mean(0).tolist(), rel=1e-4)
    assert measured.sigma_deviation == pytest.approx(sigmas.std(0, correction=0).tolist(), rel=1e-2)
    assert measured.sigma_offset == pytest.approx((sigmas[0] - sigmas.mean(0)).tolist(), abs=1e-4)
    given = gmconv_zoo.explain(model, several[0], mean_sigma=measured.mean_sigma)
    assert given.sigma_offset == measured.sigma_offset
    assert given.sigma_deviation is None
    assert gmconv_zoo.explain(model, several[0]).sigma_offset is None


def test_evidence_is_the_gradient_of_the_winning_class():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2, bias=False))
    net.num_classes, net.pretrained_cfg = 2, {"input_size": (3, 2, 2), "crop_pct": 1.0}
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].weight[1, :4] = torch.tensor([3.0, -5.0, 1.0, 0.0])
    found = gmconv_zoo.explain(net, Image.new("RGB", (2, 2), (255, 0, 0)).point(lambda value: value))
    winner = "1" if found.classes[0][0] == "1" else "0"
    expected = [[0.75, 0.0], [0.25, 0.0]] if winner == "1" else [[0.0, 0.0], [0.0, 0.0]]
    assert found.evidence.tolist() == expected
    assert (found.stem, found.sigma, found.sigma_offset) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("stdconv_cifar_resnet20", {"in_chans": 1}, 32),
        ("stdconv_cifar_resnet20", {"in_chans": 4}, 32),
        ("sgmconv_cifar_resnet20", {}, 1),
    ],
)
def test_networks_with_masks_and_without_are_explained_and_drawn_for_any_image(name, options, size, tmp_path):
    found = gmconv_zoo.explain(timm.create_model(name, **options), noise(size=size), topk=99)
    assert found.picture.shape == (options.get("in_chans", 3), 32, 32)
    assert len(found.classes) == 10
    assert (found.sigma, found.stem is None) == ((pytest.approx((5.0, 5.0)), False) if size == 1 else (None, True))
    assert draw_explanation(found, tmp_path / "explained.png").is_file()


def test_picture_has_its_numbers_next_to_it_and_is_not_overwritten(model, figures, tmp_path):
    noise().save(tmp_path / "a.png")
    found = gmconv_zoo.explain(model, tmp_path / "a.png", images=[noise(1), noise(2)])
    path = draw_explanation(found, tmp_path / "explained.png")
    rows = read_rows(path.with_suffix(".csv"))
    assert [row["name"] for row in rows[:5]] == [name for name, _ in found.classes]
    numbers = [*found.sigma, *found.mean_sigma, *found.sigma_offset, *found.sigma_deviation]
    assert [float(row["value"]) for row in rows[5:]] == pytest.approx(numbers, rel=1e-4)
    evidence = np.loadtxt(tmp_path / "explained_evidence.csv", delimiter=",")
    np.testing.assert_allclose(evidence, found.evidence, rtol=1e-4)
    _, _, classes, mask, _ = figures[0].axes
    assert [bar.get_width() for bar in classes.patches] == pytest.approx([100 * share for _, share in found.classes])
    assert classes.yaxis_inverted()
    torch.testing.assert_close(torch.tensor(mask.images[0].get_array()), found.stem.values())
    sigma, mean, offset, deviation = numbers[1::2]
    said = (
        f"{sigma:.2f} taps\n   dataset's mean {mean:.2f}, {offset:+.2f} from it ({offset / deviation:+.1f} deviations)"
    )
    assert mask.get_xlabel().endswith(said)
    assert _level(np.array([[1.0, 2.0], [3.0, 4.0]]), 0.5) == 3
    with pytest.raises(ValueError, match="exists"):
        draw_explanation(found, path)
    assert draw_explanation(found, path, overwrite=True) == path


def test_chosen_panels_are_drawn_and_others_refused(tmp_path):
    found = gmconv_zoo.explain(timm.create_model("stdconv_cifar_resnet20"), noise())
    with Image.open(draw_explanation(found, tmp_path / "one.png", panels=["evidence"])) as one:
        size = one.size
    with Image.open(draw_explanation(found, tmp_path / "two.png", panels=["classes", "picture"])) as two:
        assert two.size == (2 * size[0], size[1])
    for panels in (["mask"], ["colour"], []):
        with pytest.raises(ValueError, match="at least one of picture, evidence, classes"):
            draw_explanation(found, tmp_path / "other.png", panels=panels)


def test_names_that_begin_alike_are_told_apart(figures, tmp_path):
    long = "a class of thirty letters, no. "
    for names, shown in (
        (["tench, Tinca tinca", long], ["tench", "a class of thirty let…"]),
        (["Smith, Ann", "Smith, Bob"], ["Smith, Ann", "Smith, Bob"]),
        ([f"{long}1", f"{long}2"], [f"{long}1", f"{long}2"]),
        (["two\nlines", "\udce9"], [r"two\nlines", r"\udce9"]),
    ):
        found = Explanation(tuple((name, 0.5) for name in names), torch.zeros(3, 4, 4), torch.ones(4, 4) / 16)
        draw_explanation(found, tmp_path / "explained.png", panels=["evidence", "classes"], overwrite=True)
        evidence, classes = figures[-1].axes
        assert [label.get_text() for label in classes.get_yticklabels()] == shown
        assert evidence.get_title().startswith(f"evidence for {shown[0]},")


def test_what_cannot_be_explained_is_said(model, tmp_path):
    with pytest.raises(ValueError, match="no classifier"):
        gmconv_zoo.explain(timm.create_model("stdconv_cifar_resnet20", num_classes=0), noise())
    for options, said in (
        ({"topk": 0}, "topk=0"),
        ({"images": [noise()], "mean_sigma": (5.0, 5.0)}, "not both"),
        ({"mean_sigma": 5.0}, r"mean_sigma=5\.0: pass the horizontal and the vertical sigma, two numbers above 0"),
        ({"mean_sigma": (5.0, -1.0)}, "two numbers above 0"),
        ({"images": []}, "images is empty"),
        ({"images": "photos"}, "pass a list"),
        ({"images": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)}, "expected a float tensor"),
    ):
        with pytest.raises(ValueError, match=said):
            gmconv_zoo.explain(model, noise(), **options)
    for image in (torch.zeros(3, 32, 32), [noise()]):
        with pytest.raises(ValueError, match=f"an image is a {type(image).__name__}: pass a path"):
            gmconv_zoo.explain(model, image)
    broken = timm.create_model("stdconv_cifar_resnet20")
    broken.get_classifier().bias.data[0] = float("nan")
    noise().save(tmp_path / "whole.png")
    with pytest.raises(ValueError, match=r"whole\.png: the network's outputs are not finite"):
        gmconv_zoo.explain(broken, tmp_path / "whole.png")
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"broken\.jpg cannot be read: not an image"):
        gmconv_zoo.explain(model, tmp_path / "broken.jpg")
    with pytest.raises(UnreadableImageError, match=r"missing\.jpg"):
        gmconv_zoo.explain(model, tmp_path / "missing.jpg")
