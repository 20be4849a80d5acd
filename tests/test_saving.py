"""Folders hold a network completely: timm, or `load`, rebuilds it with the same outputs."""

import json
import os
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

import gmconv_zoo
from gmconv_zoo import convert, fuse, load, save
from gmconv_zoo.classify.networks import build_network
from gmconv_zoo.images.data_config import data_config
from gmconv_zoo.saving import folder as saving_folder
from gmconv_zoo.saving.named import open_model

from .conversion.networks import OwnNet, plain, randomised

REGISTERED = [
    ("gmconv_resnet18", {"stages": (1, 2), "num_classes": 7, "in_chans": 1}),
    ("sgmconv_mobilenetv2", {"num_classes": 5, "body": "none"}),
    ("gmconv_cifar_resnet20", {"sigma_design": "pair", "sigma_init": 2.0}),
    ("gmconv_cifar_resnet20", {"sigma_init": "kernel", "kernel_size": 5}),
    ("stdconv_cifar_resnet20", {"num_classes": 3}),
    ("gmconv_cifar_resnet20", {"reset": 4}),
]


@pytest.mark.parametrize(("name", "arguments"), REGISTERED)
def test_a_registered_model_loads_through_timm_and_through_load(tmp_path, name, arguments):
    arguments = dict(arguments)
    classes = arguments.pop("reset", None)
    net = plain(name, **arguments)
    if classes is not None:
        net.reset_classifier(classes)
    x = torch.randn(2, arguments.get("in_chans", 3), 64, 64)
    save(net, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    through_timm = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(through_timm(x), net(x))
    assert torch.equal(load(tmp_path)(x), net(x))
    assert load(tmp_path).state_dict().keys() == net.state_dict().keys()
    assert not any(open_model(opened, pretrained=False).training for opened in (name, str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("gmconv_cifar_resnet20", "gmconv_cifar_resnet20"),
        ("sgmconv_cifar_resnet20", "stdconv_cifar_resnet20"),
        ("sgmconv_mobilenetv2", "mobilenetv2_100"),
        ("sgmconv_resnet18", "resnet18"),
        ("sgmconv_convnext_atto", "convnext_atto"),
    ],
)
def test_a_fused_model_is_saved_as_what_it_is(tmp_path, name, architecture):
    fused, x = fuse(plain(name)), torch.randn(1, 3, 64, 64)
    save(fused, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architecture"] == architecture
    assert torch.equal(timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()(x), fused(x))


@pytest.mark.parametrize(("name", "stages"), [("convnext_atto", None), ("tf_efficientnet_b0", None), ("resnet18", [2])])
@pytest.mark.parametrize("fused", [False, True])
def test_a_timm_network_converted_by_hand_loads_back(tmp_path, name, stages, fused):
    net, x = plain(name), torch.randn(1, 3, 64, 64)
    net.reset_classifier(3)
    if stages:
        net.conv_stages = (("layer1",), ("layer3", "layer4"))
    net = convert(net, stages=stages)
    net = fuse(net) if fused else net
    save(net, tmp_path)
    back = load(tmp_path)
    assert torch.equal(back(x), net(x))
    assert back.gmconv_conversion == net.gmconv_conversion


def test_a_folder_with_masks_on_2x2_kernels_still_loads(tmp_path):
    """Version 0.1.0 masked them, without an effect; another tensor that has no place is refused as ever."""
    net, x = convert(plain("convnext_atto", depths=(1, 1, 1, 1), num_classes=3)), torch.randn(1, 3, 64, 64)
    save(net, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors |= {f"stages.{number}.downsample.1.sigma": torch.tensor([5.0]) for number in (1, 2, 3)}
    save_file(tensors, tmp_path / "model.safetensors")
    assert torch.equal(load(tmp_path)(x), net(x))
    save_file({**tensors, "stages.1.blocks.0.norm.sigma": torch.tensor([5.0])}, tmp_path / "model.safetensors")
    with pytest.raises(RuntimeError, match=r"unexpected stages\.1\.blocks\.0\.norm\.sigma"):
        load(tmp_path)


@pytest.mark.parametrize("build", [OwnNet, torchvision.models.resnet18])
def test_a_network_unknown_to_timm_loads_with_its_plain_twin(tmp_path, build):
    net, x = convert(randomised(build())), torch.randn(1, 3, 48, 48)
    save(net, tmp_path)
    assert torch.equal(load(tmp_path, model=build)(x), net(x))
    assert torch.equal(load(tmp_path, model=build())(x), net(x))
    with pytest.raises(ValueError, match="that timm cannot build: pass the plain network"):
        load(tmp_path)


def test_incomplete_and_foreign_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no config.json"):
        load(tmp_path)
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"holds a training that has not ended: .*--resume"):
        load(tmp_path / "run")
    save(plain("gmconv_cifar_resnet20"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for text, message in [
        ("{", "is not JSON"),
        ("{}", "names no architecture"),
        (json.dumps({**config, "architecture": "resnet18x"}), "knows no architecture 'resnet18x'"),
        (json.dumps({"architecture": "resnet18", "gmconv": {"conversion": {"sigma": 1}}}), "unknown conversion keys"),
    ]:
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            load(tmp_path)
    (tmp_path / "config.json").write_bytes(b'{"architecture": "\xff"}')
    with pytest.raises(ValueError, match=r"config\.json is not JSON: 'utf-8'"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="rebuilds itself as 'gmconv_cifar_resnet20': leave model out"):
        load(tmp_path, model=OwnNet)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"label_names": ["a", "b"]}, "label_names has 2 names; it must have 10, one per output"),
        ({"label_descriptions": ["a"]}, r"label_descriptions is \['a'\]; it must be an object"),
        ({"mean": [0.5, 0.5]}, "mean has 2 values; it must have 1 or 3, one per channel"),
        ({"std": [0, 1, 1]}, r"std is \[0, 1, 1\]; it must be a list of numbers above 0"),
        ({"interpolation": "cubic"}, "interpolation is 'cubic'; it must be one of nearest, bilinear"),
        ({"input_size": [3, "32", 32]}, r"input_size is \[3, '32', 32\]; it must be 3 whole numbers"),
        ({"model_args": {"new_option": 3}}, r"with model_args {'new_option': 3}; TypeError: .*'new_option'"),
        ({"model_args": None}, "model_args is None; it must be an object"),
        ({"pretrained_cfg": None}, "pretrained_cfg is None; it must be an object"),
        ({"architecture": ["a"]}, r"architecture is \['a'\]; it must be a string"),
        ({"gmconv": 3}, "gmconv is 3; it must be an object"),
        ({"gmconv": {"conversion": 3}}, r"and gmconv {'conversion': 3}; TypeError"),
    ],
)
def test_a_value_of_a_folder_that_cannot_be_used_is_named(tmp_path, changes, said):
    save(plain("gmconv_cifar_resnet20"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (name,) = changes
    (config["pretrained_cfg"] if name in config["pretrained_cfg"] else config).update(changes)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=rf"config\.json cannot be used: .*{said}"):
        load(tmp_path)


def test_tensors_that_do_not_fit_are_not_finite_or_are_cut_short_are_refused(tmp_path):
    save(plain("gmconv_cifar_resnet20"), tmp_path)
    path, sigma = tmp_path / "model.safetensors", "layer1.0.conv1.sigma"
    tensors = load_file(path)
    tensors[sigma].fill_(float("nan"))
    save_file(tensors, path)
    with pytest.raises(RuntimeError, match=rf"model\.safetensors cannot be used: {sigma} has values that are not fin"):
        load(tmp_path)
    del tensors[sigma]
    save_file({**tensors, "extra": torch.zeros(1), "fc.bias": torch.zeros(4)}, path)
    with pytest.raises(RuntimeError, match=rf"missing {sigma}; unexpected extra; of another shape fc\.bias"):
        load(tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(RuntimeError, match="damaged or cut short"):
        load(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"has no model.safetensors"):
        load(tmp_path)


def test_timm_cannot_half_load_what_it_cannot_rebuild(tmp_path):
    save(convert(plain("stdconv_cifar_resnet20"), sigma_init=2.0), tmp_path / "own")
    save(convert(plain("resnet18"), sigma_init=2.0), tmp_path / "timms")
    for folder in ("own", "timms"):
        for options in ({}, {"num_classes": 3}, {"features_only": True}):
            with pytest.raises(RuntimeError, match="load_with_gmconv_zoo"):
                timm.create_model(f"local-dir:{tmp_path / folder}", pretrained=True, **options)


def test_a_sigma_that_the_checkpoint_brings_cannot_be_restarted(tmp_path):
    save(plain("gmconv_cifar_resnet20", sigma_init=2.0), tmp_path)
    with pytest.raises(ValueError, match=r"carries its sigmas, which started at 2\.0"):
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True, sigma_init=5.0)
    assert timm.create_model(f"local-dir:{tmp_path}", sigma_init=5.0).gmconv_conversion.sigma_init == 5.0


@pytest.mark.parametrize("build", [lambda: OwnNet(), lambda: timm.create_model("stdconv_cifar_resnet20")])
def test_every_tensor_keeps_its_dtype(tmp_path, build):
    """Also one with two names, as a weight of OwnNet's."""
    net = convert(build()).to(torch.bfloat16)
    for module in net.modules():
        if isinstance(module, (gmconv_zoo.SGMConv2d, torch.nn.BatchNorm2d)):
            module.float()
    list(net.children())[-1].double()  # the classifier
    save(net, tmp_path)
    back = load(tmp_path, model=build if isinstance(net, OwnNet) else None).state_dict()
    dtypes = {key: tensor.dtype for key, tensor in net.state_dict().items()}
    assert set(dtypes.values()) >= {torch.bfloat16, torch.float32, torch.float64}
    assert {key: tensor.dtype for key, tensor in back.items()} == dtypes
    assert all(torch.equal(back[key], tensor) for key, tensor in net.state_dict().items())


def test_a_file_of_another_sigma_design_is_refused(tmp_path):
    net, x = plain("gmconv_cifar_resnet20", sigma_design="pair"), torch.randn(1, 3, 32, 32)
    torch.nn.init.normal_(net.conv1.sigma_module.fc.weight, std=0.3)
    save(net, tmp_path)
    asked = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(tmp_path / "model.safetensors")}}
    with pytest.raises(ValueError, match=r"sigma_design='ratio': .* trained with 'pair'; pass sigma_design='pair'"):
        timm.create_model("gmconv_cifar_resnet20", **asked)
    loaded = timm.create_model("gmconv_cifar_resnet20", sigma_design="pair", **asked).eval()
    assert torch.equal(loaded(x), net(x))
    save_file(net.state_dict(), tmp_path / "model.safetensors")  # without a record
    timm.create_model("gmconv_cifar_resnet20", **asked)


def test_a_network_that_is_used_at_the_size_of_its_training_stays_so(tmp_path):
    net = build_network("convnext_atto", 3, image_size=64, pretrained=False)  # timm tests its weights at 288 pixels
    save(net, tmp_path)
    for loaded in (load(tmp_path), timm.create_model(f"local-dir:{tmp_path}", pretrained=True)):
        config = data_config(loaded, use_test_size=True)
        assert (config["input_size"], config["crop_pct"]) == ((3, 64, 64), 0.875)


class WithBackbone(torch.nn.Module):
    """A user's network around one of timm's."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model("stdconv_cifar_resnet20", num_classes=0)
        self.head = torch.nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(x))


@pytest.mark.parametrize("fused", [False, True])
def test_a_converted_backbone_inside_another_network(tmp_path, fused):
    net, x = randomised(WithBackbone()), torch.randn(2, 3, 32, 32)
    net.backbone = convert(net.backbone, sigma_init=2.0)
    net = fuse(net) if fused else net
    save(net, tmp_path / "whole")
    assert torch.equal(load(tmp_path / "whole", model=WithBackbone)(x), net(x))
    mine = WithBackbone()
    assert torch.equal(load(tmp_path / "whole", model=mine)(x), net(x))
    assert type(mine.backbone.conv1) is torch.nn.Conv2d  # is left as it was
    save(net.backbone, tmp_path / "part")
    assert torch.equal(load(tmp_path / "part")(x), net.backbone(x))


def test_two_converted_parts_may_have_names_that_begin_alike(tmp_path):
    def pair() -> torch.nn.ModuleDict:
        return torch.nn.ModuleDict({name: torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)) for name in ("a", "ab")})

    net = torch.nn.ModuleDict({name: convert(part) for name, part in pair().items()})
    save(net, tmp_path)
    assert load(tmp_path, model=pair).state_dict().keys() == net.state_dict().keys()


@pytest.mark.parametrize(
    "edit",
    [
        lambda net: setattr(net, "act1", torch.nn.SiLU()),
        lambda net: setattr(net.conv1, "stride", (2, 2)),
        lambda net: setattr(net.layer2[0], "downsample", torch.nn.AvgPool2d(2)),
        lambda net: setattr(net.layer1[0].conv1, "padding_mode", "circular"),
        lambda net: setattr(net.layer1[0].conv1, "padding", (0, 2)),
        lambda net: setattr(net.bn1, "eps", 0.5),
        lambda net: setattr(net, "act1", torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Tanh())),
        lambda net: setattr(net, "global_pool", torch.nn.Sequential(torch.nn.AdaptiveMaxPool2d(1), torch.nn.Flatten())),
        lambda net: net.layer1.append(torch.nn.Tanh()),
    ],
)
def test_edits_without_parameters_are_refused_rather_than_lost(tmp_path, edit):
    net = plain("sgmconv_cifar_resnet20")
    edit(net)
    with pytest.raises(ValueError, match=r"would be rebuilt as .* is not kept"):
        save(net, tmp_path)


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_permissions_follow_the_umask_and_a_failed_save_keeps_the_earlier_weights(tmp_path, umask, monkeypatch):
    before = os.umask(umask)
    try:
        for _ in range(2):  # also over files that exist
            save(plain("gmconv_cifar_resnet20"), tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o666 & ~umask}
    weights = (tmp_path / "model.safetensors").read_bytes()

    def cut_short(model, path, metadata):
        Path(path).write_bytes(b"half")
        raise SafetensorError("no space left")

    monkeypatch.setattr(saving_folder, "save_model", cut_short)
    with pytest.raises(OSError, match="no space left"):
        save(plain("gmconv_cifar_resnet20"), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert len(list(tmp_path.iterdir())) == 2


NET = "gmconv_cifar_resnet20"
ON_META, WRAPPED = (
    "is on the meta device and has no values: load weights",
    "cannot be rebuilt: pass the network inside it",
)
FEATURES = "save the network that was created without features_only"


def with_another_kernel() -> torch.nn.Module:
    net = plain(NET)
    net.layer1[0].conv1 = gmconv_zoo.SGMConv2d(16, 16, 5, padding=2)
    return net


def with_a_nan() -> torch.nn.Module:
    net = plain(NET)
    net.bn1.bias.data[0] = float("nan")
    return net


def with_a_shared_kernel() -> torch.nn.Module:
    net = plain(NET)
    net.layer1[0].conv2.weight = net.layer1[0].conv1.weight
    return net


def with_other_groups() -> torch.nn.Module:
    net = timm.create_model("resnet18", norm_layer="groupnorm", num_classes=2)
    net.bn1.num_groups = 4
    return net


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (with_other_groups, r"bn1 is Norm\(num_groups=4, .* is not kept"),
        (lambda: plain(NET).to("meta"), ON_META),
        (lambda: OwnNet().to("meta"), ON_META),
        (lambda: torch.nn.DataParallel(plain(NET)), WRAPPED),
        (lambda: torch.compile(plain(NET)), WRAPPED),
        (lambda: torch.jit.script(plain(NET)), "a scripted network: pass the one that was scripted"),
        (lambda: timm.create_model(NET, features_only=True), FEATURES),
        (lambda: timm.create_model(NET, features_only=True, feature_cls="fx"), FEATURES),
        (lambda: timm.create_model(NET, features_only=True, feature_cls="hook"), FEATURES),
        (with_a_nan, r"cannot be saved: bn1\.bias has values that are not finite"),
        (with_a_shared_kernel, r"layer1\.0\.conv1\.weight, layer1\.0\.conv2\.weight are one parameter, .* is not kept"),
        (with_another_kernel, "another network than this one .*of another shape layer1.0.conv1.weight"),
    ],
)
def test_what_could_not_be_rebuilt_is_refused_before_anything_is_written(tmp_path, build, said):
    with pytest.raises(ValueError, match=said):
        save(build(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("build", "said"), [(OwnNet, "timm does not know OwnNet"), (NET, "has 2 names for 10 outputs")]
)
def test_names_that_are_not_those_of_the_outputs_are_refused(tmp_path, build, said):
    net = plain(build) if isinstance(build, str) else build()
    with pytest.raises(ValueError, match=f"label_names:? {said}"):
        save(net, tmp_path / "out", label_names=["cat", "dog"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", ["abc", {0: "cat", 1: "dog", 2: "cow"}])
def test_names_that_are_no_list_are_refused(tmp_path, names):
    with pytest.raises(TypeError, match=r"label_names=.*: pass a list with a name for each output"):
        save(plain(NET, num_classes=3), tmp_path / "out", label_names=names)


def test_names_in_a_dictionary_are_saved_in_the_order_of_the_outputs(tmp_path):
    net = plain(NET, num_classes=3)
    net.pretrained_cfg.update(num_classes=3, label_names={"2": "cow", "0": "cat", "1": "dog"})
    config = json.loads((save(net, tmp_path / "out") / "config.json").read_text())
    assert config["label_names"] == ["cat", "dog", "cow"]


def test_a_dynamic_body_of_version_0_1_loads_with_its_own_width_and_is_saved_again(tmp_path):
    model = gmconv_zoo.convert(timm.create_model("resnet18", num_classes=3), body="dynamic", stages=(1,))
    for module in model.modules():
        if isinstance(module, gmconv_zoo.DGMConv2d):
            module.set_hidden_channels(4)  # what that version used in every dynamic layer
            torch.nn.init.normal_(module.sigma_module.fc.weight, std=0.1)
    gmconv_zoo.save(model, tmp_path / "old")
    loaded = gmconv_zoo.load(tmp_path / "old")
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(loaded(images), model.eval()(images))
    gmconv_zoo.save(loaded, tmp_path / "again")
    assert gmconv_zoo.load(tmp_path / "again").layer1[0].conv1.sigma_module.fc.in_features == 4
