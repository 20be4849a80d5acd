"""Labels of a flat folder of images, from a file beside it.

Three kinds of file are read, told apart by their content:

- one number from 1 to 1000 per line, as ILSVRC2012_validation_ground_truth.txt of the ImageNet development kit. The
  numbers are the kit's own ids, not the outputs of any network, so the kit's meta.mat or map_clsloc.txt is needed too;
- one WordNet id (n01440764) per line, in the order of the sorted files;
- file name and label per line (separated by a space, tab or comma) or a JSON object of them; a label is the index of
  an output, counted from 0, or a class name.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

__all__ = ["is_wnid", "read_class_names", "read_labels"]

_WNID = re.compile(r"n\d{8}")
_OFFICIAL_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.\w+")
_ID_MAPS = ("meta.mat", "map_clsloc.txt")


def is_wnid(name: str) -> bool:
    """Whether a class name is a WordNet id such as n01440764."""
    return bool(_WNID.fullmatch(name))


def read_class_names(path: str | Path) -> list[str]:
    """The lines of a file with a class name per line, in the order of the labels.

    Raises:
        ValueError: when there is no such file, it is empty or names a class twice.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"classes={str(path)!r}: no such file; pass one with a class name per line.")
    names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"{path}: {twice[:3]} occur more than once; labels need a name each.")
    if not names:
        raise ValueError(f"{path}: no class in it; write one name per line.")
    return names


def read_labels(
    path: str | Path, files: Sequence[Path], *, id_map: str | Path | None = None
) -> tuple[list[int], list[str] | None]:
    """The label of every file.

    Args:
        path: the label file, see above.
        files: the images, sorted by name.
        id_map: meta.mat or map_clsloc.txt for the kit's numbers; looked for beside the label file by default.

    Returns:
        One label per file, and the class names that the labels index; None where they are outputs of the network.

    Raises:
        ValueError: when files and labels do not fit together, or the labels are of no known kind.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"labels={str(path)!r}: no such file.")
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        table = json.loads(text)
        if not isinstance(table, dict):
            raise ValueError(f"{path}: pass a JSON object of file names and labels, got a {type(table).__name__}.")
        return _by_name(path, files, {str(name): str(label) for name, label in table.items()})
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = [re.split(r"[\s,]+", line, maxsplit=1) for line in lines]
    if rows and all(len(row) == 2 for row in rows):
        table = {Path(name).name: label for name, label in rows}
        if len(table) < len(rows):
            raise ValueError(f"{path}: {len(rows) - len(table)} file names occur more than once.")
        return _by_name(path, files, table)
    if not rows or any(len(row) == 2 for row in rows):
        raise ValueError(f"{path}: pass one label per line, or a file name and a label on every line.")
    return _by_order(path, files, lines, id_map)


def _by_name(path: Path, files: Sequence[Path], table: dict[str, str]) -> tuple[list[int], list[str] | None]:
    missing = [file.name for file in files if file.name not in table]
    if missing:
        raise ValueError(f"{path}: no label for {len(missing)} of {len(files)} images, the first is {missing[0]}.")
    labels = [table[file.name] for file in files]
    if all(label.isdecimal() for label in labels):
        return [int(label) for label in labels], None
    return _indexed(labels)


def _by_order(
    path: Path, files: Sequence[Path], lines: list[str], id_map: str | Path | None
) -> tuple[list[int], list[str] | None]:
    numbers = [_OFFICIAL_NAME.fullmatch(file.name) for file in files]
    if all(numbers):  # the names say which line is theirs, also where files are missing
        places = [int(match[1]) - 1 for match in numbers if match]
    else:
        places = list(range(len(files)))
        if len(files) != len(lines):
            raise ValueError(f"{path}: {len(lines)} labels for {len(files)} images; pass file names with the labels.")
    if max(places) >= len(lines):
        raise ValueError(f"{path}: {len(lines)} labels, but {files[-1].name} would need {max(places) + 1}.")
    labels = [lines[place] for place in places]
    if all(is_wnid(label) for label in lines):
        return _indexed(labels)
    if not all(line.isdecimal() and 1 <= int(line) <= 1000 for line in lines):
        raise ValueError(
            f"{path}: labels without file names must be numbers from 1 to 1000 as in the ImageNet development kit, or "
            "WordNet ids; pass file names with the labels for anything else."
        )
    ids = _read_id_map(_find_id_map(path, id_map))
    unknown = sorted({int(label) for label in labels} - set(ids))
    if unknown:
        raise ValueError(f"{path}: the id map has no class for {unknown[:5]}.")
    return _indexed([ids[int(label)] for label in labels])


def _indexed(labels: list[str]) -> tuple[list[int], list[str]]:
    names = sorted(set(labels))
    index = {name: place for place, name in enumerate(names)}
    return [index[label] for label in labels], names


def _find_id_map(path: Path, id_map: str | Path | None) -> Path:
    if id_map is not None:
        return Path(id_map)
    for name in _ID_MAPS:
        if (path.parent / name).is_file():
            return path.parent / name
    raise ValueError(
        f"{path} numbers the classes as the ImageNet development kit does, not as networks do: put the kit's "
        f"{_ID_MAPS[0]} or {_ID_MAPS[1]} beside it, or pass id_map."
    )


def _read_id_map(path: Path) -> dict[int, str]:
    """Number to WordNet id of the 1,000 classes."""
    try:
        if path.suffix == ".mat":
            from scipy.io import loadmat  # the only use of scipy, which the "demo" extra brings

            synsets = loadmat(str(path), squeeze_me=True)["synsets"]
            rows = [(int(row[0]), str(row[1])) for row in synsets if int(row[4]) == 0]  # leaves only
        else:
            parts = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            rows = [(int(row[1]), row[0]) for row in parts]
    except ModuleNotFoundError as error:
        raise ValueError(f"{path}: reading it needs scipy; install it or pass map_clsloc.txt as id_map.") from error
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is no id map ({error}): pass the kit's meta.mat, or lines such as 'n02119789 1 kit_fox'."
        ) from error
    if len({number for number, _ in rows}) < len(rows) or not all(is_wnid(name) for _, name in rows):
        raise ValueError(f"{path} is no id map: every number must occur once, with a WordNet id.")
    return dict(rows)
