"""Class names as they can be drawn: literally, in installed fonts, wrapped where they are long."""

import functools
import logging
import math
import textwrap
from collections.abc import Sequence
from typing import Any

from ..extras import needs_extra
from ..wording import printable

with needs_extra("train"):
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

__all__ = ["ClassLabels"]

_logger = logging.getLogger(__name__)

# Characters of a line; of a name that would need more lines than the second number, the lines are longer.
_WIDTH, _MOST_LINES = 40, 3
# Comes with matplotlib and has every character, as a box that names its script
_NO_FONT = "Last Resort"


class ClassLabels:
    """The labels of a picture with one place for each class.

    Args:
        names: of the classes. Whatever cannot be printed is shown as an escape such as ``\\udce9``; a name in a script
            that no installed font has is shown as the class's number, counted from 1.

    Attributes:
        texts: what to draw.
        inches: the height that one of them needs.
        style: keywords for matplotlib's `Text`, which draw the texts as they are.
    """

    def __init__(self, names: Sequence[str]) -> None:
        shown = [printable(name) for name in names]
        families, missing = _families({character for name in shown for character in name})
        unknown = [bool(set(name) & missing) for name in shown]
        if any(unknown):
            _logger.warning(
                "%d class names are drawn as numbers: no installed font has %s. Install one that does, e.g. Noto.",
                sum(unknown),
                " ".join(sorted(missing)[:10]),
            )
        self.texts = [
            f"class {number}" if hidden else _wrapped(name)
            for number, (name, hidden) in enumerate(zip(shown, unknown, strict=True), start=1)
        ]
        self.inches = 0.15 * (max(text.count("\n") for text in self.texts) + 1.4)
        self.style: dict[str, Any] = {"parse_math": False, "usetex": False, "fontfamily": families, "fontsize": 8}


def _wrapped(name: str) -> str:
    width = max(_WIDTH, math.ceil(len(name) / _MOST_LINES))
    return "\n".join(textwrap.wrap(name, width)) or repr(name)


def _families(characters: set[str]) -> tuple[list[str], set[str]]:
    """The usual font and, for characters that it does not have, others; and the characters that none has."""
    usual = FontProperties()
    families, missing = list(usual.get_family()), characters - _characters_of(findfont(usual)) - {" "}
    for entry in fontManager.ttflist if missing else ():
        if entry.name.startswith(_NO_FONT):
            continue
        if found := missing & _characters_of(entry.fname):
            families.append(entry.name)
            missing -= found
    return families, missing


@functools.cache
def _characters_of(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, get_font(path).get_charmap()))
    except (OSError, RuntimeError):  # a listed font that was removed, or one that FreeType cannot open
        return frozenset()
