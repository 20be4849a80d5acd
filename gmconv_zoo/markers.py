"""Generated text inside a Markdown file, between the two comments that name it."""

from pathlib import Path

__all__ = ["is_current", "put_between"]


def put_between(path: Path, name: str, content: str) -> None:
    """Replace what stands between ``<!-- name:begin -->`` and ``<!-- name:end -->``.

    Args:
        path: a Markdown file with both comments, each on a line of its own.
        name: what is generated.
        content: the lines to put there.

    Raises:
        ValueError: when a marker is missing.
    """
    path.write_text(_changed(path, name, content), encoding="utf-8")


def is_current(path: Path, name: str, content: str) -> bool:
    """Whether the file holds what `put_between` would write.

    Raises:
        ValueError: when a marker is missing.
    """
    return path.read_text(encoding="utf-8") == _changed(path, name, content)


def _changed(path: Path, name: str, content: str) -> str:
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = path.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{path}: put the lines {begin} and {end} where the table of {name} belongs.")
    return f"{before}{begin}\n{content}\n{end}{after}"
