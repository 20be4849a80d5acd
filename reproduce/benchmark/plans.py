"""The measurements that the recorded tables are made of, each under a name of its own."""

from collections.abc import Iterable
from dataclasses import replace

from gmconv_zoo.layers import FORMS

from .settings import BenchmarkSettings

__all__ = ["PLANS", "planned"]

_IMAGENET = ("resnet18", "mobilenetv2", "alexnet", "resnet50")
_MASKED, _TRAINED = ("sgmconv", "sgmconv fused", "gmconv"), ("sgmconv", "gmconv")
_FORMS = tuple(f"gmconv {form}" for form in FORMS)
_SIZES = (2, 8, 32)
# Events of a CUDA device time a call to the microsecond, so that fewer rounds say as much as on a CPU.
_CUDA_SHARE = 1 / 32
_PEERS = ("condconv stem", "deformable stem")

PLANS: dict[str, tuple[BenchmarkSettings, ...]] = {
    "stem": (
        BenchmarkSettings(
            nets=("mobilenetv2", "resnet18", "alexnet"),
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


def planned(
    names: Iterable[str],
    *,
    device: str = "cpu",
    precision: str = "float32",
    busy: bool = False,
) -> list[BenchmarkSettings]:
    """The settings of some plans; on a CUDA device every comparison takes a thirty-second of the time.

    Args:
        names: some of `PLANS`, or `PLANS` itself for all.
        device, precision, busy: as in `BenchmarkSettings`.

    Returns:
        One or more per plan.

    Raises:
        ValueError: for a name that is no plan, and as `BenchmarkSettings` does.
    """
    names = tuple(names)
    if not names or set(names) - set(PLANS):
        raise ValueError(f"plans={names!r}: pass some of {tuple(PLANS)}.")
    changes = {"device": device, "precision": precision, "busy": busy}
    share = _CUDA_SHARE if device.startswith("cuda") else 1
    parts = [settings for name in names for settings in PLANS[name]]
    return [replace(part, seconds=part.seconds * share, **changes) for part in parts]  # type: ignore[arg-type]
