"""The measurements that the recorded tables are made of, each under a name of its own."""

from collections.abc import Iterable
from dataclasses import replace

from gmconv_zoo.layers import FORMS

from .settings import FORMATS, TASKS, BenchmarkSettings

__all__ = ["CUDA_PLANS", "PLANS", "planned"]

_IMAGENET = ("resnet18", "mobilenetv2", "alexnet", "resnet50")
_STEMS = ("mobilenetv2", "resnet18", "alexnet")
_MASKED, _TRAINED = ("sgmconv", "sgmconv fused", "gmconv"), ("sgmconv", "gmconv")
_FORMS = tuple(f"gmconv {form}" for form in FORMS)
_SIZES = (2, 8, 32)
_PEERS = ("condconv stem", "deformable stem")

PLANS: dict[str, tuple[BenchmarkSettings, ...]] = {
    "stem": (
        BenchmarkSettings(
            nets=_STEMS,
            kinds=("sgmconv", "gmconv", *_FORMS, "condconv stem"),
            batches=_SIZES,
            stem_only=True,
            seconds=10.0,
            rounds=7,
        ),
    ),
    "cifar": (
        BenchmarkSettings(
            nets=("cifar_resnet20",), kinds=(*_TRAINED, *_FORMS, *_PEERS), batches=(128,), seconds=20.0, rounds=11
        ),
    ),
    "networks": (
        BenchmarkSettings(nets=_IMAGENET, kinds=_MASKED, tasks=("inference",), batches=_SIZES, seconds=15.0, rounds=15),
        BenchmarkSettings(nets=_IMAGENET, kinds=_MASKED, tasks=("training",), batches=_SIZES, seconds=20.0, rounds=15),
    ),
    "convnext": tuple(
        BenchmarkSettings(
            nets=("convnext_atto",), kinds=_MASKED, tasks=(task,), batches=(8, 32), seconds=20.0, rounds=7
        )
        for task in ("inference", "training")
    ),
    "peers": (BenchmarkSettings(nets=("resnet18",), kinds=("gmconv", *_PEERS), batches=(8,), seconds=30.0, rounds=7),),
    "compiled": (
        BenchmarkSettings(
            nets=("resnet18",),
            kinds=_TRAINED,
            batches=(8,),
            formats=("channels_last",),
            compile=True,
            seconds=30.0,
            rounds=15,
        ),
    ),
    "single": (
        BenchmarkSettings(
            nets=(*_IMAGENET, "cifar_resnet20"),
            kinds=_MASKED,
            tasks=("inference",),
            batches=(1,),
            seconds=3.0,
            rounds=9,
        ),
    ),
}


# On a CUDA device: events time a call to the microsecond, so that a few seconds say as much as a minute on a CPU.
CUDA_PLANS: dict[str, tuple[BenchmarkSettings, ...]] = {
    "stem": (
        BenchmarkSettings(
            nets=_STEMS, kinds=(*_TRAINED, "condconv stem"), batches=(8, 32), stem_only=True, seconds=0.4, rounds=7
        ),
    ),
    "cifar": (
        BenchmarkSettings(nets=("cifar_resnet20",), kinds=(*_TRAINED, *_PEERS), batches=(128,), seconds=1.25, rounds=7),
    ),
    "networks": tuple(
        BenchmarkSettings(
            nets=(*_IMAGENET, "convnext_atto"),
            kinds=_MASKED,
            tasks=(task,),
            batches=(batch,),
            formats=formats,
            seconds=1.5,
            rounds=7,
        )
        for batch, formats in ((32, tuple(FORMATS)), (128, ("channels_last",)))
        for task in TASKS
    ),
    "compiled": (
        BenchmarkSettings(
            nets=("resnet18",),
            kinds=_TRAINED,
            batches=(32,),
            formats=("channels_last",),
            compile=True,
            seconds=1.5,
            rounds=7,
        ),
    ),
}


def planned(
    names: Iterable[str] = (),
    *,
    device: str = "cpu",
    precision: str = "float32",
    busy: bool = False,
) -> list[BenchmarkSettings]:
    """The settings of some plans.

    Args:
        names: some of `PLANS`, on a CUDA device some of `CUDA_PLANS`; empty for all of them.
        device, precision, busy: as in `BenchmarkSettings`.

    Returns:
        One or more per plan.

    Raises:
        ValueError: for a name that is no plan of this device, and as `BenchmarkSettings` does.
    """
    plans = CUDA_PLANS if device.startswith("cuda") else PLANS
    names = tuple(names) or tuple(plans)
    if set(names) - set(plans):
        raise ValueError(f"plans={names!r} on {device}: pass some of {tuple(plans)} (--plan).")
    parts = [settings for name in names for settings in plans[name]]
    return [replace(part, device=device, precision=precision, busy=busy) for part in parts]
