"""Renaming and checking a checkpoint's tensors."""

import pytest
import timm
import torch
import torchvision

from gmconv_zoo.weights.adapt import adapt_checkpoint, rename_by_order


@pytest.fixture
def model():
    return timm.create_model("sgmconv_mobilenetv2")


@pytest.fixture
def torchvision_weights():
    return torchvision.models.mobilenet_v2().state_dict()


def test_rename_by_order_finds_every_key(model, torchvision_weights):
    renamed = rename_by_order(torchvision_weights, model)
    expected = timm.create_model("mobilenetv2_100").state_dict()
    assert {key: value.shape for key, value in renamed.items()} == {k: v.shape for k, v in expected.items()}


def test_rename_by_order_passes_over_missing_counters(model, torchvision_weights):
    old = {key: value for key, value in torchvision_weights.items() if not key.endswith("num_batches_tracked")}
    renamed = rename_by_order(old, model)
    assert torch.equal(renamed["classifier.bias"], torchvision_weights["classifier.1.bias"])
    assert adapt_checkpoint(old, model, declared="standard", rename=rename_by_order)


def test_rename_by_order_refuses_another_number_of_tensors(model, torchvision_weights):
    with pytest.raises(RuntimeError, match=r"315 tensors and the model 314"):
        rename_by_order({**torchvision_weights, "more": torch.ones(1)}, model)
    del torchvision_weights["features.3.conv.0.1.weight"]
    with pytest.raises(RuntimeError, match=r"313 tensors and the model 314"):
        rename_by_order(torchvision_weights, model)


def test_rename_by_order_leaves_a_file_with_the_models_names_alone(model):
    state_dict = timm.create_model("mobilenetv2_100").state_dict()
    del state_dict["bn1.bias"]
    assert rename_by_order(state_dict, model) is state_dict
    with pytest.raises(RuntimeError, match=r"missing bn1\.bias"):
        adapt_checkpoint(state_dict, model, declared="standard", rename=rename_by_order)


def test_what_is_no_tensor_is_refused(model):
    with pytest.raises(RuntimeError, match=r"more than tensors \(epoch\)"):
        adapt_checkpoint({"epoch": 3}, model, declared="native")
