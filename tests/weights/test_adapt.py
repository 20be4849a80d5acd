"""Renaming and checking a checkpoint's tensors."""

import pytest
import timm
import torch
import torchvision

from gmconv_zoo.weights.adapt import adapt_checkpoint, rename_by_order


@pytest.fixture
def model():
    return timm.create_model("mobilenetv2_100")


@pytest.fixture
def torchvision_weights():
    return torchvision.models.mobilenet_v2().state_dict()


def test_rename_by_order_finds_every_key_and_passes_over_missing_counters(model, torchvision_weights):
    renamed = rename_by_order(torchvision_weights, model)
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in model.state_dict().items()}
    old = {key: value for key, value in torchvision_weights.items() if not key.endswith("num_batches_tracked")}
    renamed = rename_by_order(old, model)
    assert torch.equal(renamed["classifier.bias"], torchvision_weights["classifier.1.bias"])
    assert adapt_checkpoint(old, model, declared="standard", rename=rename_by_order)


def test_rename_by_order_refuses_another_number_of_tensors_but_leaves_the_models_names_alone(
    model, torchvision_weights
):
    with pytest.raises(RuntimeError, match=r"315 tensors and the model 314"):
        rename_by_order({**torchvision_weights, "more": torch.ones(1)}, model)
    del torchvision_weights["features.3.conv.0.1.weight"]
    with pytest.raises(RuntimeError, match=r"313 tensors and the model 314"):
        rename_by_order(torchvision_weights, model)
    state_dict = model.state_dict()
    del state_dict["bn1.bias"]
    assert rename_by_order(state_dict, model) is state_dict
    with pytest.raises(RuntimeError, match=r"missing bn1\.bias"):
        adapt_checkpoint(state_dict, model, declared="standard", rename=rename_by_order)


def test_what_is_no_tensor_is_refused(model):
    with pytest.raises(RuntimeError, match=r"more than tensors \(epoch\)"):
        adapt_checkpoint({"epoch": 3}, model, declared="native")


NATIVE = "gmconv_cifar_resnet20"


@pytest.fixture(scope="module")
def native():
    torch.manual_seed(0)
    return timm.create_model(NATIVE)


@pytest.mark.parametrize(
    ("change", "message"),
    [  # the files of tests/weights/faults.py have the other faults
        (lambda w: w.update({"conv1.weight": torch.ones(16, 1, 3, 3)}), r"conv1\.weight has shape"),
        (
            lambda w: w.update({"bn1.bias": torch.full((16,), float("inf"))}),
            r"bn1\.bias has values that are not finite",
        ),
        (lambda w: w.pop("conv1.sigma_module.fc.bias"), r"but not conv1\.sigma_module\.fc\.bias"),
        (
            lambda w: w.update({"fc.weight": torch.ones(10, 64, dtype=torch.int8)}),
            r"fc\.weight holds torch\.int8 instead of floating-point numbers",
        ),
    ],
)
def test_a_native_file_fits_whole_or_not_at_all(native, change, message):
    weights = native.state_dict()
    assert adapt_checkpoint(weights, native, declared="native").keys() == weights.keys()
    change(weights)
    with pytest.raises(RuntimeError, match=message):
        adapt_checkpoint(weights, native, declared="native")


@pytest.mark.parametrize("name", [NATIVE, "stdconv_cifar_resnet20"])
@pytest.mark.parametrize("strict", [True, False])
def test_a_file_whose_names_all_have_a_prefix_is_refused_for_that(name, strict):
    model = timm.create_model(name)
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    said = r"has a name that the model uses: it has model\.conv1\.weight, .* model conv1\.weight, .* remove a prefix"
    with pytest.raises(RuntimeError, match=said):
        adapt_checkpoint(weights, model, declared="native", strict=strict)


def test_only_named_layers_may_have_other_channels_or_classes(native):
    weights = native.state_dict() | {"conv1.weight": torch.ones(16, 1, 3, 3), "fc.weight": torch.ones(3, 64)}
    weights["fc.more"] = torch.ones(3)
    del weights["fc.bias"]
    named = {"first_conv": ("conv1",), "classifier": ("fc",)}
    adapted = adapt_checkpoint(weights, native, declared="native", **named)
    assert adapted.keys() == weights.keys()
    assert adapted is not weights  # timm drops the classifier from it
    for left_out, message in (("first_conv", "conv1"), ("classifier", "fc")):
        with pytest.raises(RuntimeError, match=message):
            adapt_checkpoint(weights, native, declared="native", **{**named, left_out: ()})
    with pytest.raises(RuntimeError, match=r"conv1\.weight has shape"):  # other outputs are not other channels
        adapt_checkpoint({**weights, "conv1.weight": torch.ones(8, 1, 3, 3)}, native, declared="native", **named)
    del weights["layer1.0.conv1.sigma"]
    with pytest.raises(RuntimeError, match=r"but not layer1\.0\.conv1\.sigma"):  # also where others may be missing
        adapt_checkpoint(weights, native, declared="native", strict=False, **named)
    plain = timm.create_model("stdconv_cifar_resnet20")
    with pytest.raises(RuntimeError, match="carries no sigma"):
        adapt_checkpoint(plain.state_dict(), native, declared="native", strict=False)
    with pytest.raises(RuntimeError, match="carries sigmas"):
        adapt_checkpoint(native.state_dict(), plain, declared="standard", strict=False)
