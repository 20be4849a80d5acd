"""Parts of messages that several rooms word alike."""

from collections.abc import Sequence, Set

__all__ = ["listed", "printable"]

MOST = 5


def listed(names: Sequence[str] | Set[str], *, separator: str = ", ") -> str:
    """Return the first names of a list, or of a set in alphabetical order, and how many more there are."""
    ordered = sorted(names) if isinstance(names, Set) else names
    more = f" and {len(ordered) - MOST} more" if len(ordered) > MOST else ""
    return separator.join(ordered[:MOST]) + more


def printable(name: str) -> str:
    """Return a name with escapes for what does not print: line breaks, control characters, bytes that are not UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
