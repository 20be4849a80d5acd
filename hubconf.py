"""torch.hub entry points: one for every registered model, under the model's name.

Example:
    torch.hub.load("OWNER/gmconv_zoo", "gmconv_resnet18", pretrained=True, trust_repo=True)
"""

import importlib.util
import typing

dependencies = ["torch", "torchvision", "timm", "huggingface_hub", "safetensors"]

_ARGUMENTS = """

Args:
    pretrained: load pretrained weights.
    tag: name of the weights; None for the model's default.
    **kwargs: arguments of timm.create_model, e.g. num_classes, in_chans, features_only or sigma_init.
"""


def _entry_point(name: str) -> typing.Callable[..., typing.Any]:
    def create(pretrained: bool = False, tag: str | None = None, **kwargs: typing.Any) -> typing.Any:
        model = name if tag is None else f"{name}.{tag}"
        _check_model_name(model)
        return timm.create_model(model, pretrained=pretrained, **kwargs)

    create.__name__, create.__doc__ = name, f"{timm.model_entrypoint(name).__doc__}{_ARGUMENTS}"
    return create


if all(importlib.util.find_spec(name) for name in dependencies):  # else torch.hub itself names what is missing
    import timm

    from gmconv_zoo.models._names import FAMILIES
    from gmconv_zoo.saving.named import check_model_name as _check_model_name

    globals().update({name: _entry_point(name) for name in timm.list_models([f"{family}*" for family in FAMILIES])})
