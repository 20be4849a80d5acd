"""Parts of messages that several rooms word alike."""

from collections.abc import Container, Sequence, Set

__all__ = ["distinct", "listed", "printable"]

MOST = 5


def distinct(name: str, taken: Container[str]) -> str:
    """Return a name that is not taken yet: the name itself, or one with a number."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    return found


def listed(names: Sequence[str] | Set[str], *, separator: str = ", ") -> str:
    """Return the first names of a list, or of a set in alphabetical order, and how many more there are."""
    ordered = sorted(names) if isinstance(names, Set) else names
    more = f" and {len(ordered) - MOST} more" if len(ordered) > MOST else ""
    return separator.join(ordered[:MOST]) + more


def printable(name: str) -> str:
    """Return a name with escapes for what does not print: line breaks, control characters, bytes that are not UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
