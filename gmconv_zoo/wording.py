"""Parts of messages that several rooms word alike."""

from collections.abc import Sequence, Set

__all__ = ["listed"]

MOST = 5


def listed(names: Sequence[str] | Set[str], *, separator: str = ", ") -> str:
    """Return the first names of a list, or of a set in alphabetical order, and how many more there are."""
    ordered = sorted(names) if isinstance(names, Set) else names
    more = f" and {len(ordered) - MOST} more" if len(ordered) > MOST else ""
    return separator.join(ordered[:MOST]) + more
