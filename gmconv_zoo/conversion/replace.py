"""Find and exchange what a network holds, whether torch has registered it or it is in a plain list, tuple or dict."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

__all__ = ["held_values", "replace_modules"]


def held_values(module: nn.Module) -> Iterator[Any]:
    """Yield the values of a module's attributes, with the contents of its lists, tuples and dictionaries.

    Among them are its own parameters, buffers and children, which torch keeps in dictionaries.
    """
    waiting, seen = [*vars(module).values()], set()
    while waiting:
        value = waiting.pop()
        if not isinstance(value, (list, tuple, dict)):
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value


def replace_modules(model: nn.Module, pairs: Sequence[tuple[nn.Module, nn.Module]]) -> nn.Module:
    """Exchange modules under every name, and in every list, tuple and dictionary, that a network has them in.

    Returns the network, changed in place; where it is itself to be exchanged, the module that takes its place.
    """
    return _replaced(model, {id(old): new for old, new in pairs}, set())


def _replaced(value: Any, new: dict[int, nn.Module], seen: set[int]) -> Any:
    if id(value) in new:
        return new[id(value)]
    if not isinstance(value, (nn.Module, list, tuple, dict)) or id(value) in seen:
        return value
    seen.add(id(value))
    if isinstance(value, tuple):
        items = [_replaced(item, new, seen) for item in value]
        if all(item is old for item, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    held: Any = vars(value) if isinstance(value, nn.Module) else value
    for key, item in list(held.items() if isinstance(held, dict) else enumerate(held)):
        if (other := _replaced(item, new, seen)) is not item:
            held[key] = other
    return value
