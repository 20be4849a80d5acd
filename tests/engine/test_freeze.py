import pytest
import timm
import torch

from gmconv_zoo.engine.freeze import freeze_backbone, freeze_parts, set_train_mode

from .nets import SHORT, tensor_loaders, tiny_net, train


def kept_by_training(freeze, recipe=SHORT):
    """The entries of the state dict that a training leaves as they were, and those that it changes."""
    net = timm.create_model("gmconv_cifar_resnet20", num_classes=3)
    freeze(net)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    train(net, *tensor_loaders(), recipe, progress=False)
    kept = {key for key, value in net.state_dict().items() if torch.equal(value, before[key])}
    return kept, before.keys() - kept


def test_frozen_backbone_keeps_weights_and_statistics():
    assert kept_by_training(freeze_backbone)[1] == {"fc.weight", "fc.bias"}


def test_frozen_parts_keep_weights_and_statistics():
    kept, changed = kept_by_training(lambda net: freeze_parts(net, ["conv1", "bn1", "layer1", "*.sigma"]))
    frozen = {key for key in kept | changed if key.startswith(("conv1.", "bn1.", "layer1.")) or key.endswith(".sigma")}
    assert "layer2.0.conv1.sigma" in frozen
    assert "layer2.0.bn1.running_mean" in changed
    assert kept == frozen


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["layer9"], r"freeze='layer9': the network has no such module or parameter\. Its .*layer1, .*--freeze"),
        (["layer"], "freeze='layer': the network has no such module"),
        (["layer1.0.act1"], r"freeze='layer1\.0\.act1': this module has no parameters to freeze"),
        (["*"], r"freeze=\['\*'\]: nothing is left to train"),
    ],
)
def test_what_cannot_be_frozen_is_named(names, said):
    with pytest.raises(ValueError, match=said):
        freeze_parts(timm.create_model("gmconv_cifar_resnet20"), names)


def test_norms_learn_while_their_statistics_stay():
    kept, changed = kept_by_training(lambda net: None, SHORT.override(freeze_statistics=True))
    assert all(("running_" in key or key.endswith("num_batches_tracked")) is (key in kept) for key in kept | changed)


def test_train_mode_leaves_out_what_is_frozen_as_a_whole():
    net = tiny_net().eval()
    net.append(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.5)))
    set_train_mode(net)
    assert all(module.training for module in net.modules())
    net[3].requires_grad_(False)
    net[6].bias.requires_grad_(False)
    net[7].requires_grad_(False)
    set_train_mode(net)
    still = {name for name, module in net.named_modules() if not module.training}
    assert still == {"3", "7", "7.0", "7.1"}
    with pytest.raises(ValueError, match="Sequential has no classifier"):
        freeze_backbone(tiny_net())
