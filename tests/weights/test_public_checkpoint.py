"""A public CIFAR-10 ResNet-20, pulled from a Hub and converted, is as accurate as it was."""

import pytest
import torch
from safetensors.torch import save

from tests.cifar import DATA, load_cifar10
from tests.servers.client import client_env, run_client

CHECKPOINT = DATA / "weights" / "cifar10_resnet20-12fca82f.th"
CLIENT = """
import torch
from gmconv_zoo.weights.specs import WeightSpec
from tests.cifar import load_cifar10
from tests.weights.client_tools import create
spec = WeightSpec(
    "gmconv_cifar_resnet20", "from_public", "standard", "bsd-2-clause", "a public checkpoint", num_classes=10,
    hf_hub_id="gmconv-zoo/cifar_resnet20", revision=_os.environ["REVISION"],
)
model = create(spec, sigma_init=1.0)
images, labels = load_cifar10("test")
mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
right = 0
with torch.inference_mode():
    for x, y in zip(images.split(1000), labels.split(1000), strict=True):
        right += int((model((x / 255 - mean) / std).argmax(1) == y).sum())
masked = sum("sigma" in key for key in model.state_dict())
report(right=right, masked=masked)
"""


@pytest.mark.slow
@pytest.mark.skipif(not CHECKPOINT.exists(), reason=f"{CHECKPOINT} is not on this machine")
def test_converted_public_resnet20_scores_as_published(hub, tmp_path):
    state_dict = torch.load(CHECKPOINT, map_location="cpu", weights_only=True)["state_dict"]
    plain = {key.removeprefix("module."): value.contiguous() for key, value in state_dict.items()}
    assert "linear.weight" in plain
    revision = hub.put("gmconv-zoo/cifar_resnet20", {"model.safetensors": save(plain)})
    result = run_client(CLIENT, {**client_env(tmp_path, endpoint=hub.url), "REVISION": revision}).result
    assert result["masked"] > 18  # every 3x3 convolution
    assert result["right"] == 9173


@pytest.mark.skipif(not (DATA / "cifar10").exists(), reason=f"{DATA / 'cifar10'} is not on this machine")
def test_cifar10_reader_gives_every_test_image_its_label():
    images, labels = load_cifar10("test")
    assert images.shape == (10_000, 3, 32, 32)
    assert torch.bincount(labels).tolist() == [1000] * 10
    assert images.float().std() > 50
