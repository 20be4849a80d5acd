"""Optional dependencies: a missing one says which extra to install."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["needs_extra"]


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Wrap the imports of an optional dependency: an error then names the missing module and the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(
            f'{error.name} is not installed: run pip install "gmconv_zoo[{extra}]", or in a checkout '
            f'pip install ".[{extra}]".',
            name=error.name,
        ) from error
