"""Generated parts of a Markdown file, each between two comments with its name."""

from collections.abc import Sequence
from pathlib import Path

__all__ = ["markers", "table", "with_block"]


def markers(name: str) -> tuple[str, str]:
    """The lines that a generated part stands between."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def with_block(path: Path, name: str, content: str) -> str:
    """Return a file's text with the content between a part's `markers` renewed; ValueError where they are missing."""
    text = path.read_text(encoding="utf-8")
    opening, closing = markers(name)
    before, begin, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not (begin and end):
        raise ValueError(f"{path}: put the lines {opening} and {closing} where the part belongs.")
    return f"{before}{opening}\n{content}\n{closing}{after}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return a Markdown table; ``right`` has the indices of the columns that are aligned to the right."""
    lines = [columns, ["---:" if index in right else "---" for index in range(len(columns))], *rows]
    return "\n".join(f"| {' | '.join(line)} |" if line is not lines[1] else f"|{'|'.join(line)}|" for line in lines)
