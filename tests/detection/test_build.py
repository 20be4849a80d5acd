"""Detectors compute what torchvision's do, keep a user's weights, are saved, and refuse what cannot work."""

import copy
import logging
import re

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

import gmconv_zoo
from gmconv_zoo import DGMConv2d, SGMConv2d
from gmconv_zoo.detection import build, heads
from gmconv_zoo.detection.build import categories_of
from gmconv_zoo.detection.dcn import DeformableConv2d
from gmconv_zoo.images.data_config import data_config
from gmconv_zoo.weights.errors import WeightsError
from tests.conversion.networks import plain, randomised

from .detectors import FROM_SCRATCH, SMALL, assert_same_detections, detect, images, targets, weights_of

MASKED = {"stem": "dynamic", "body": "static", "stages": (1,)}


@pytest.fixture(scope="module")
def torchvisions():
    torch.manual_seed(0)
    sizes = {"min_size": 64, "max_size": 96}
    detector = torchvision.models.detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, **sizes)
    randomised(detector)
    with torch.no_grad():
        detector.roi_heads.box_predictor.cls_score.weight.mul_(20)
        detector.rpn.head.cls_logits.weight.mul_(20)
    return detector


def small(head="faster_rcnn", **options):
    weights = options.pop("weights", None) or weights_of(head)
    return build(head, **{"backbone": "resnet18", "weights": weights, **SMALL, **options})


@pytest.fixture(scope="module")
def standard_detections():
    return detect(small())


def test_boxes_scores_and_losses_are_torchvisions(torchvisions):
    ours = build(weights=torchvisions.state_dict(), **SMALL)
    assert_same_detections(detect(ours), detect(torchvisions))
    torchvisions.train()
    torchvisions.backbone.body.eval()  # its norms take their stored statistics, as frozen ones do
    losses = []
    for detector in (torchvisions, ours.train()):
        torch.manual_seed(0)
        losses.append(detector(images(), targets()))
    torch.testing.assert_close(losses[1], losses[0])


def test_torchvisions_old_names_and_epsilon_load_from_a_file(torchvisions, tmp_path):
    blocks = r"(fpn\.\w+_blocks\.\d|rpn\.head\.conv)(\.0)+\.(weight|bias)$"
    tensors = {re.sub(blocks, r"\1.\3", key): value for key, value in torchvisions.state_dict().items()}
    assert {"rpn.head.conv.weight", "backbone.fpn.inner_blocks.0.bias"} <= set(tensors)
    tensors = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    torch.save({"model": tensors, "epoch": 3}, tmp_path / "coco.pth")
    wanted = copy.deepcopy(torchvisions)
    for norm in wanted.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eps = 1e-30  # as good as 0, which torch refuses in training
    assert_same_detections(detect(build(weights=tmp_path / "coco.pth", norm_eps=0.0, **SMALL)), detect(wanted))


def test_batch_norms_without_an_epsilon_train():
    detector = small(norm_eps=0.0, batch_norm="train", frozen_stages=-1).train()
    assert torch.isfinite(detector.backbone(torch.randn(2, 3, 64, 64))["0"]).all()


@pytest.mark.parametrize(
    "options",
    [
        {"backbone": "gmconv_resnet18", "batch_norm": "eval", "frozen_stages": -1},
        {**MASKED, "dcn_stages": (2, 3, 4)},
        {"dcn_stages": (3,), "dcn_version": 2},
    ],
    ids=str,
)
def test_a_standard_detectors_weights_keep_their_outputs_and_are_saved_and_fused(
    options, standard_detections, tmp_path
):
    detector = small(**options)
    assert_same_detections(detect(detector), standard_detections)
    fused = gmconv_zoo.fuse(detector)
    assert not any(isinstance(layer, SGMConv2d) for layer in fused.modules())
    for name, network in (("fused", fused), ("trained", detector)):
        gmconv_zoo.save(network, tmp_path / name)
        loaded = gmconv_zoo.load(tmp_path / name)
        torch.testing.assert_close(detect(loaded), detect(network), rtol=0, atol=0)
    trainable = {name for name, parameter in detector.named_parameters() if parameter.requires_grad}
    assert trainable == {name for name, parameter in loaded.named_parameters() if parameter.requires_grad}


def test_weights_with_sigmas_and_offsets_load_with_another_number_of_classes(tmp_path, caplog):
    options = {**MASKED, "dcn_stages": (2,)}
    detector = small(**options)
    with torch.no_grad():
        detector.backbone.body.layer1[0].conv1.sigma.fill_(2.0)
        detector.backbone.body.layer2[0].conv1.offset.bias.fill_(0.5)
    save_file(detector.state_dict(), tmp_path / "own.safetensors")
    assert_same_detections(detect(small(weights=tmp_path / "own.safetensors", **options)), detect(detector))
    with caplog.at_level(logging.WARNING):
        other = small(weights=tmp_path / "own.safetensors", num_classes=3, **options)
    assert "weights are for 5 classes: the box predictor for 3" in caplog.text
    assert other.roi_heads.box_predictor.cls_score.out_features == 3
    assert other.backbone.body.layer1[0].conv1.sigma == 2.0


@pytest.mark.parametrize("head", ["faster_rcnn", "cascade_rcnn"])
def test_weights_for_the_same_classes_in_another_order_load_without_the_predictor(head, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(heads, "_HIDDEN", 16)
    options = {"backbone": "test_resnet", **SMALL}
    detector = build(head, **FROM_SCRATCH, **options, categories={"cat": 7, "dog": 3}, norm_eps=0.5)
    saved = detector.state_dict()
    gmconv_zoo.save(detector.eval(), tmp_path)
    again = build(head, weights=tmp_path, **options)
    assert (categories_of(again), again.backbone.body.bn1.eps) == ({"cat": 7, "dog": 3}, 0.5)
    same = build(head, weights=tmp_path, **options, categories={"cat": 1, "dog": 2}).state_dict()
    assert all(torch.equal(saved[key], value) for key, value in same.items())
    assert "untrained" not in caplog.text
    predicts = "cls_score" if head == "cascade_rcnn" else "box_predictor"  # a cascade's boxes are of all classes
    for weights in (tmp_path, tmp_path / "model.safetensors"):
        other = build(head, weights=weights, **options, categories={"dog": 3, "cat": 7}).state_dict()
        changed = {key for key, value in other.items() if not torch.equal(saved[key], value)}
        assert changed == {key for key in other if f".{predicts}." in key}
    assert "the weights are for the classes cat, dog, in this order: the box predictor for dog, cat" in caplog.text


def test_weights_of_another_sigma_design_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(heads, "_HIDDEN", 16)
    options = {"backbone": "test_resnet", "num_classes": 3, "stem": "dynamic", "body": "static", **FROM_SCRATCH}
    gmconv_zoo.save(build(**options, sigma_design="pair").eval(), tmp_path)
    with pytest.raises(ValueError, match=r"sigma_design='ratio': .* trained with 'pair'; pass sigma_design='pair'"):
        build(**options, weights=tmp_path)
    build(**options, weights=tmp_path, sigma_design="pair")


@pytest.mark.parametrize("name", ["resnet18", "gmconv_resnet18"])
def test_a_trained_classifier_becomes_the_backbone(name, tmp_path):
    classifier = plain(name, act_layer="silu")
    gmconv_zoo.save(classifier, tmp_path)
    detector = build(backbone=str(tmp_path), **SMALL)
    x = torch.rand(1, 3, 64, 64)
    features = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, features_only=True).eval()(x)[1:]
    torch.testing.assert_close(detector.eval().backbone.body(x), features)
    assert isinstance(detector.backbone.body.conv1, DGMConv2d) == (name == "gmconv_resnet18")
    detector.gmconv_plan.update(mean=[0.5] * 3, std=[0.25] * 3)
    loaded = gmconv_zoo.load(gmconv_zoo.save(detector, tmp_path / "detector"))
    torch.testing.assert_close(loaded.eval().backbone.body(x), features)
    assert data_config(loaded.backbone.body)["mean"] == (0.5, 0.5, 0.5)
    for weights in (tmp_path / "detector", tmp_path / "detector" / "model.safetensors"):
        again = build(backbone=name, weights=weights, **SMALL).eval()
        torch.testing.assert_close(again.backbone.body(x), features)
        assert (again.transform.image_mean, again.transform.image_std) == ([0.5] * 3, [0.25] * 3)


def test_a_registered_network_takes_the_keywords_of_its_masks(monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **{**options, "pretrained": False}))
    body = build(backbone="sgmconv_resnet18", stages=(1,), sigma_init=3.0, dcn_stages=(2, 3, 4)).backbone.body
    assert isinstance(body.conv1, SGMConv2d)
    assert body.layer1[0].conv1.sigma == 3.0
    assert isinstance(body.layer2[0].conv1, DeformableConv2d)


def test_masks_that_are_frozen_are_reported(caplog):
    small(frozen_stages=0, **MASKED)
    assert not caplog.records
    small(frozen_stages=1, **MASKED)
    assert "frozen_stages=1 freezes every Gaussian mask" in caplog.text


@pytest.mark.parametrize("size", [(1, 1), (4000, 200)])
def test_images_of_any_shape_are_searched_and_trained_on(size, standard_detections):
    detector = small()
    height, width = size
    image, box = torch.rand(3, height, width), torch.tensor([[0.0, 0.0, width, height]])
    losses = detector.train()([image], [{"boxes": box, "labels": torch.tensor([1])}])
    assert all(loss.isfinite() for loss in losses.values())
    with torch.no_grad():
        boxes = detector.eval()([image])[0]["boxes"]
    assert boxes.isfinite().all()
    assert (boxes[:, 2] <= width).all()
    # a first image of this shape leaves no trace
    assert_same_detections(detect(detector), standard_detections)


@torch.no_grad()
@pytest.mark.parametrize("parity", ["torchvision", "mmdet_paper"])
def test_boxes_keep_their_precision_under_bfloat16(parity):
    detector = small("cascade_rcnn", parity=parity, dcn_stages=(4,)).eval()
    proposals = []
    detector.rpn.register_forward_hook(lambda module, inputs, outputs: proposals.extend(outputs[0]))
    with torch.autocast("cpu", torch.bfloat16):
        found = detector(images())
    for boxes in (*proposals, *(image["boxes"] for image in found)):
        assert boxes.dtype == torch.float32
        assert not boxes.equal(boxes.bfloat16().float())


def without(key):
    return {name: value for name, value in weights_of().items() if name != key}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"head": "mask_rcnn"}, ValueError, "head='mask_rcnn': pass one of .'faster_rcnn', 'cascade_rcnn'"),
        ({"parity": "mmdet"}, ValueError, "parity='mmdet': pass one of .'torchvision', 'mmdet_paper'"),
        ({"batch_norm": "off"}, ValueError, "batch_norm='off': pass one of"),
        ({"num_classes": 1}, ValueError, "num_classes=1: pass at least 2"),
        ({"frozen_stages": 5}, ValueError, r"frozen_stages=5: pass -1 \(nothing\), 0 \(the stem\) to 4"),
        ({"dcn_stages": (5,)}, ValueError, r"dcn_stages=\(5,\): the backbone has stages \[1, 2, 3, 4\]"),
        ({"dcn_version": 3}, ValueError, "dcn_version=3: pass 1, or 2"),
        ({"backbone": 5}, ValueError, "backbone=5: pass the name of a timm network"),
        ({"norm_eps": "abc"}, ValueError, "norm_eps='abc': pass a number of at least 0"),
        ({"min_size": 0}, ValueError, "min_size=0, max_size=1333: pass at least 1 pixel"),
        ({**MASKED, "dcn_stages": (1, 2)}, ValueError, "hold Gaussian masks"),
        ({"stages": (1,)}, ValueError, "stages: without stem or body there is no mask"),
        ({**MASKED, "stages": (7,)}, ValueError, "this network has stages 1 to 4"),
        ({"weights": "nothing.pth"}, ValueError, "weights='nothing.pth': the file does not exist"),
        ({"weights": without("rpn.head.bbox_pred.bias")}, WeightsError, "missing rpn.head.bbox_pred.bias"),
        ({"head": "cascade_rcnn", "weights": weights_of()}, WeightsError, "missing roi_heads.*unexpected roi_heads"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_built_says_what_can(options, error, words):
    with pytest.raises(error, match=words):
        build(**{"backbone": "resnet18", "weights": weights_of(), **options})


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    (tmp_path / "text.pth").write_text("nothing")
    torch.save(nn.Linear(1, 1), tmp_path / "code.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\0" * 20)
    for name in ("text.pth", "code.pth", "cut.safetensors"):
        with pytest.raises(ValueError, match=f"{name}' is damaged or not a state dict"):
            build(weights=tmp_path / name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_norm": "frozen"}, "batch_norm='frozen' without weights would freeze norms"),
        ({"frozen_stages": 1}, "frozen_stages=1 without weights would freeze random layers"),
        ({"backbone": "vit_tiny_patch16_224"}, r"strides \[16\], but a detector needs \(4, 8, 16, 32\)"),
        ({"backbone": "stdconv_cifar_resnet20"}, "but a detector needs"),
        ({"backbone": "swin_tiny_patch4_window7_224"}, "channels-last"),
        ({"backbone": "resnet5"}, "not a folder, a model that timm knows.*Did you mean resnet"),
        (
            {"backbone": "hrnet_w18_small", "frozen_stages": 0, "pretrained": True},
            "the backbone.s stages are unknown",
        ),
    ],
    ids=str,
)
def test_backbones_that_cannot_serve_are_refused(options, words, monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **{**options, "pretrained": False}))
    with pytest.raises(ValueError, match=words):
        build(**{**FROM_SCRATCH, **options})
