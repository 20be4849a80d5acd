"""Optimizer and learning-rate schedule from one set of settings; timm makes both."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, TypeVar, get_args

from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers, param_groups_layer_decay
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler, StepLRScheduler
from timm.scheduler.scheduler import Scheduler
from torch import nn
from torch.optim import Optimizer

from ..saving.named import did_you_mean
from ..sigmas import param_groups

__all__ = ["SCHEDULES", "TrainSettings", "build_optimizer", "build_scheduler", "smaller_batch"]

_Settings = TypeVar("_Settings", bound="TrainSettings")
Schedule = Literal["constant", "cosine", "step", "multistep"]
SCHEDULES = get_args(Schedule)


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """Settings of a training, whatever it trains.

    Attributes:
        epochs: number of passes over the training set.
        lr: largest learning rate of all parameters except the sigmas.
        optimizer: timm's name of the optimizer; "momentum" is SGD with plain momentum, "sgd" with Nesterov's.
        momentum: momentum of the optimizer, in [0, 1).
        weight_decay: weight decay of kernels and linear weights.
        sigma_weight_decay: weight decay of the sigmas. Plain SGD on all parameters decays them like the weights, which
            narrows masks that have no gradient.
        sigma_lr_scale: factor of ``lr`` that gives the learning rate of the sigmas.
        decay_norm_and_bias: whether to decay norms and biases too, as plain SGD does.
        schedule: schedule of the learning rate over the epochs.
        milestones: epochs at which "multistep" multiplies the learning rate by ``decay_rate``.
        decay_epochs: epochs between two multiplications of "step".
        decay_rate: factor of the learning rate at each step, in (0, 1].
        warmup_epochs: epochs of a linear rise from 0 at the start; may be a fraction.
        clip_grad: largest gradient norm; None for no clipping.
        clip_sigma: largest gradient norm of each dynamic layer's sigma module, see `clip_sigma_grad`; None for no
            clipping. A single large step can kill hidden units or flatten the mask for good.
        layer_decay: ratio of each layer's learning rate to that of the next layer, in (0, 1]; 1 for equal rates.
        batch_size: images per optimizer update, over all processes.
        freeze_statistics: whether batch norms keep their running statistics and normalise by them in training too, so
            that pretrained weights start with the outputs that they were trained for.
        ema_decay: decay of a running average of the weights, which is then evaluated and kept; 0 for none.
        patience: stop after this many epochs without a better score on the validation set; None to run all epochs.

    Raises:
        ValueError: for a value outside its range, naming the field.
    """

    epochs: int
    lr: float
    optimizer: str = "momentum"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    sigma_weight_decay: float = 0.0
    sigma_lr_scale: float = 1.0
    decay_norm_and_bias: bool = False
    schedule: Schedule = "cosine"
    milestones: tuple[int, ...] = ()
    decay_epochs: int = 30
    decay_rate: float = 0.1
    warmup_epochs: float = 0.0
    clip_grad: float | None = None
    clip_sigma: float | None = 0.005
    layer_decay: float = 1.0
    batch_size: int
    freeze_statistics: bool = False
    ema_decay: float = 0.0
    patience: int | None = None

    NOT_NEGATIVE: ClassVar[tuple[str, ...]] = (
        "lr",
        "weight_decay",
        "sigma_weight_decay",
        "sigma_lr_scale",
        "warmup_epochs",
    )

    def __post_init__(self) -> None:
        for name in ("epochs", "decay_epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}: pass a whole number of at least 1.")
        for name in self.NOT_NEGATIVE:
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name}={value!r}: pass a finite number of at least 0.")
        for name in ("momentum", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: pass a number in [0, 1).")
        for name in ("decay_rate", "layer_decay"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)!r}: pass a number in (0, 1].")
        for name in ("clip_grad", "clip_sigma"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r}: pass a gradient norm above 0, or None.")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience={self.patience!r}: pass at least 1 epoch, or None.")
        known = list(map(str, list_optimizers()))
        if self.optimizer.lower().removeprefix("lookahead_") not in known:
            raise ValueError(
                f"optimizer={self.optimizer!r}: timm has no such optimizer.{did_you_mean(self.optimizer, known)} "
                "Pass for example momentum, sgd, adamw or lamb; timm.optim.list_optimizers() lists all."
            )
        if get_optimizer_info(self.optimizer.lower().removeprefix("lookahead_")).second_order:
            raise ValueError(
                f"optimizer={self.optimizer!r} needs second derivatives, which trainings do not compute: pass another "
                "one, e.g. momentum or adamw."
            )
        self._check_schedule()

    def _check_schedule(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r}: pass one of {SCHEDULES}.")
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if list(self.milestones) != sorted(set(self.milestones)) or any(m < 1 for m in self.milestones):
            raise ValueError(f"milestones={self.milestones}: pass rising epochs of at least 1, e.g. (80, 120).")
        if (self.schedule == "multistep") != bool(self.milestones):
            raise ValueError(
                f"schedule={self.schedule!r} with milestones={self.milestones}: 'multistep' needs milestones, and "
                "they are for it alone."
            )
        if self.warmup_epochs >= self.epochs and self.warmup_epochs:
            raise ValueError(f"warmup_epochs={self.warmup_epochs}: must be below epochs={self.epochs}.")

    def override(self: _Settings, **values: Any) -> _Settings:
        """Return the settings with some fields changed; ValueError for unknown fields and values out of range."""
        names = [field.name for field in fields(self)]
        if unknown := sorted(set(values) - set(names)):
            raise ValueError(f"a recipe has no field {', '.join(unknown)}: its fields are {', '.join(names)}.")
        return replace(self, **values)

    def adapt(self: _Settings, **values: Any) -> _Settings:
        """Return the settings with some fields changed, as `override`, and dependent fields rescaled.

        Another number of epochs rescales milestones, the epochs between steps, and a warm-up that no longer fits,
        unless they are given too. Another batch size changes nothing else.
        """
        epochs = values.get("epochs", self.epochs)
        if epochs != self.epochs and isinstance(epochs, int) and epochs > 0:
            share = epochs / self.epochs
            moved = {max(1, round(milestone * share)) for milestone in self.milestones}
            if values.get("schedule", self.schedule) == "multistep":
                values.setdefault("milestones", tuple(sorted(moved)))
            values.setdefault("decay_epochs", max(1, round(self.decay_epochs * share)))
            values.setdefault("warmup_epochs", min(self.warmup_epochs, epochs / 2))
        if values.get("schedule", "multistep") != "multistep":
            values.setdefault("milestones", ())
        return self.override(**values)

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON-ready values; the class makes the settings from them again."""
        return {**asdict(self), "milestones": list(self.milestones)}


def build_optimizer(model: nn.Module, settings: TrainSettings) -> Optimizer:
    """Build the optimizer over a network's trainable parameters, with the groups of `param_groups`.

    Raises:
        ValueError: when nothing is trainable, or the optimizer needs a device or a package that does not exist.
    """
    groups = param_groups(
        model,
        settings.lr,
        weight_decay=settings.weight_decay,
        sigma_lr_scale=settings.sigma_lr_scale,
        sigma_weight_decay=settings.sigma_weight_decay,
        decay_norm_and_bias=settings.decay_norm_and_bias,
    )
    if settings.layer_decay < 1:
        groups = _split_by_layer(groups, model, settings.layer_decay)
    # every group carries its own decay; the default here would only hide a missing one
    try:
        return create_optimizer_v2(
            groups, opt=settings.optimizer, lr=settings.lr, momentum=settings.momentum, weight_decay=0.0
        )
    except (AssertionError, ImportError) as error:  # timm's and bitsandbytes' words for what an optimizer needs
        raise ValueError(
            f"optimizer={settings.optimizer!r} cannot be used here ({error}): pass another one, e.g. momentum or adamw "
            "(--optimizer)."
        ) from error


def build_scheduler(optimizer: Optimizer, settings: TrainSettings, *, updates_per_epoch: int) -> Scheduler:
    """Build the schedule, a timm scheduler to be stepped after every update with ``step_update(updates done)``.

    timm's own factory is not used for "multistep" because its scheduler fires one step before the milestone.
    """
    warmup: dict[str, Any] = {
        "warmup_t": round(settings.warmup_epochs * updates_per_epoch),
        "warmup_lr_init": 0.0,
        "t_in_epochs": False,
    }
    if settings.schedule == "cosine":
        return CosineLRScheduler(optimizer, t_initial=settings.epochs * updates_per_epoch, lr_min=0.0, **warmup)
    if settings.schedule == "multistep":
        ends = [milestone * updates_per_epoch + 1 for milestone in settings.milestones]
        return MultiStepLRScheduler(optimizer, decay_t=ends, decay_rate=settings.decay_rate, **warmup)
    rate = settings.decay_rate if settings.schedule == "step" else 1.0
    decay_t = settings.decay_epochs * updates_per_epoch
    return StepLRScheduler(optimizer, decay_t=decay_t, decay_rate=rate, **warmup)


def smaller_batch(batch: int, images: int, *, updates: int, smallest: int) -> int:
    """Halve a batch size, down to the smallest, until an epoch of so many images has about so many updates."""
    while batch > smallest and images < updates * batch:
        batch //= 2
    return batch


def _split_by_layer(groups: list[dict[str, Any]], model: nn.Module, layer_decay: float) -> list[dict[str, Any]]:
    """Split parameter groups by layer; timm's schedulers multiply a group's learning rate by its "lr_scale".

    The network's `group_matcher` says what a layer is; without one timm groups by name. The last layer's scale is 1,
    and every earlier layer's is smaller by a factor.
    """
    scales = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(model, layer_decay=layer_decay)
        for parameter in group["params"]
    }
    split = []
    for group in groups:
        by_scale: dict[float, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            by_scale.setdefault(scales[id(parameter)], []).append(parameter)
        split += [{**group, "params": params, "lr_scale": scale} for scale, params in by_scale.items()]
    return split
