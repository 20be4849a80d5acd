"""Labels of a flat folder of images, and class names, from text files.

Three kinds of label file are read, told apart by their content:

- one number from 1 to 1000 per line, as ILSVRC2012_validation_ground_truth.txt of the ImageNet development kit. The
  numbers are the kit's own ids, not the outputs of any network, so the kit's meta.mat or map_clsloc.txt must be next to
  the file;
- one WordNet id (n01440764) per line, in the order of the sorted files;
- file name and label per line, separated by a tab, comma, semicolon or space; a label is the index of an output,
  counted from 0, or a class name. Further columns are ignored, but a column of 0 and 1 for each class is refused.

Files are UTF-8 or, with a byte-order mark, UTF-16 or UTF-32. Fields may be in double quotes.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from unicodedata import normalize

from ..wording import listed
from .folder import natural_key

__all__ = ["is_wnid", "read_class_names", "read_labels"]

_WNID = re.compile(r"n\d{8}")
_OFFICIAL_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.\w+")
_ID_MAPS = ("meta.mat", "map_clsloc.txt")
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?", re.IGNORECASE)
_NUMBERED = [
    re.compile(rule) for rule in (r"(?P<number>\d+)[\s,;]+(?P<name>.+)", r"(?P<name>.+?)[\s,;]+(?P<number>\d+)")
]


def is_wnid(name: str) -> bool:
    """Whether a class name is a WordNet id such as n01440764."""
    return bool(_WNID.fullmatch(name))


def read_class_names(path: str | Path) -> list[str]:
    """Read a file with a class name per line, in the order of the labels.

    A name may be in double quotes. Text after a tab is ignored, and so is the text after a WordNet id, as in
    "n01440764 tench". If every name has a number, as in "0,cat" or "cat 0", and the numbers are 0 to N - 1, the numbers
    give the order. ValueError when the file does not exist, is not text, is empty or names a class twice.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"classes={str(path)!r}: the file does not exist. Pass a file with a class name per line (--classes)."
        )
    lines = [line.strip() for line in _lines(path)]
    for rule in _NUMBERED:
        found = [rule.fullmatch(line) for line in lines]
        numbers = [int(match["number"]) for match in found if match]
        if len({match["name"] for match in found if match}) == len(lines) and sorted(numbers) == [*range(len(lines))]:
            lines = [match["name"] for _, match in sorted(zip(numbers, found, strict=True)) if match]
    names = [normalize("NFC", row[0]) for row in _table(path, "\n".join(lines), "\t")]
    first = [name.partition(" ")[0] for name in names]
    names = first if all(map(is_wnid, first)) else names
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"{path}: {twice[:3]} occur more than once: give every class its own name.")
    if not names:
        raise ValueError(f"{path} does not name any class: write one class name per line.")
    return names


def read_labels(path: str | Path, files: Sequence[Path]) -> tuple[list[int], list[str] | None]:
    """Return the label of every image file, in the order of the files, which are sorted by name.

    The class names that the labels index come second; None if the labels are outputs of the network. ValueError when
    files and labels do not match, or the kind of the label file is not known.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"labels={str(path)!r}: the file does not exist. Pass a label file (--labels).")
    known = {normalize("NFC", file.name) for file in files}
    lines = _lines(path)
    if pairs := _pairs(path, lines, known):
        return _by_name(path, files, pairs, known)
    labels = [row[0] for row in _table(path, "\n".join(lines), "\t")]
    if not labels or any(re.search(r"[\s,;]", label) for label in labels):
        raise ValueError(
            f"{path} names none of the {len(files)} images: pass one label per line, or a file name and a label on "
            "every line."
        )
    return _by_order(path, files, labels)


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not blank, decoded by its byte-order mark, or as UTF-8 without one."""
    content = path.read_bytes()
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not {encoding} text ({error}): save it as UTF-8.") from error
    if "\0" in text:
        raise ValueError(f"{path} is not UTF-8 text (it holds zero bytes): save it as UTF-8.")
    return [line for line in io.StringIO(text, newline=None).read().split("\n") if line.strip()]


def _table(path: Path, text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        return [[field.strip() for field in row] for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}; check the quotes.") from error


def _pairs(path: Path, lines: list[str], known: set[str]) -> list[tuple[str, str]]:
    """Split lines into file names and labels by the first separator that isolates a known file name; empty if none."""
    unread = None
    for delimiter in "\t,; ":
        try:
            if delimiter == " ":
                table = [_at_space(path, line, known) for line in lines]
            else:
                table = _table(path, "\n".join(lines), delimiter)
        except ValueError as error:
            unread = unread or error
            continue
        width = max(map(len, table), default=0)
        rows = [row + [""] * (width - len(row)) for row in table]
        place = next((i for i in range(width) if any(_file_name(row[i], known) in known for row in rows)), width)
        if place + 1 < width:
            if bare := [row[place] for row in rows if not row[place + 1]]:
                raise ValueError(f"{path}: {bare[0]!r} has no label: pass a file name and a label on every line.")
            others = {tuple(row[place + 1 :]) for row in rows if _file_name(row[place], known) in known}
            if len(others) > 1 and all(sorted(row) == ["0"] * (len(row) - 1) + ["1"] for row in others):
                raise ValueError(
                    f"{path} has a column of 0 and 1 for each of {width - place - 1} classes: pass the label itself in "
                    "the column after the file name."
                )
            return [(row[place], row[place + 1]) for row in rows]
        if place < width:
            unread = ValueError(
                f"{path} has no label after the file names: pass a file name, then a label, on every line."
            )
    if unread is not None:
        raise unread
    return []


def _at_space(path: Path, line: str, known: set[str]) -> list[str]:
    """Split a line into a file name, which may contain spaces, and its label."""
    line = line.strip()
    for gap in reversed([*re.finditer(r"\s+", line)]):
        name, label = line[: gap.start()].strip('"'), line[gap.end() :]
        if _file_name(name, known) in known:
            if '"' not in label and len(words := label.split()) > 1 and any(map(_NUMBER.fullmatch, words)):
                raise ValueError(
                    f"{path}: {label!r} for {name} may be one label or several columns; separate columns by tabs or "
                    "commas, or put the label in double quotes."
                )
            return [name, label.strip('"')]
    return line.split(maxsplit=1)


def _file_name(name: str, known: set[str]) -> str:
    """Return the last part of a Linux or Windows path, in composed Unicode."""
    name = normalize("NFC", name)
    return name if name in known else PureWindowsPath(name).name


def _by_name(
    path: Path, files: Sequence[Path], pairs: list[tuple[str, str]], known: set[str]
) -> tuple[list[int], list[str] | None]:
    table = {_file_name(name, known): normalize("NFC", label) for name, label in pairs}
    if len(table) < len(pairs):
        counts = Counter(_file_name(name, known) for name, _ in pairs)
        twice = listed([name for name, count in counts.items() if count > 1])
        raise ValueError(f"{path}: the file names {twice} occur more than once: keep one line for each.")
    labels = [table.get(normalize("NFC", file.name), "") for file in files]
    if missing := [file.name for file, label in zip(files, labels, strict=True) if not label]:
        raise ValueError(f"{path}: no label for {len(missing)} of {len(files)} images, the first is {missing[0]}.")
    if all(label.isdecimal() for label in labels):
        return [int(label) for label in labels], None
    if all(map(_NUMBER.fullmatch, labels)):
        wrong = next(label for label in labels if not label.isdecimal())
        raise ValueError(f"{path}: the label is {wrong}; pass whole numbers from 0, or class names.")
    return _indexed(labels)


def _by_order(path: Path, files: Sequence[Path], lines: list[str]) -> tuple[list[int], list[str] | None]:
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
    ids = _read_id_map(path)
    unknown = sorted({int(label) for label in labels} - set(ids))
    if unknown:
        raise ValueError(f"{path}: the id map has no class for {unknown[:5]}.")
    return _indexed([ids[int(label)] for label in labels])


def _indexed(labels: list[str]) -> tuple[list[int], list[str]]:
    names = sorted(set(labels), key=natural_key)
    index = {name: place for place, name in enumerate(names)}
    return [index[label] for label in labels], names


def _read_id_map(labels: Path) -> dict[int, str]:
    """Return the WordNet ids of the 1,000 classes by their number in the development kit, from its file of them."""
    path = next((labels.parent / name for name in _ID_MAPS if (labels.parent / name).is_file()), None)
    if path is None:
        raise ValueError(
            f"{labels} numbers the classes as the ImageNet development kit does, not as networks do: put the kit's "
            f"{' or '.join(_ID_MAPS)} next to it."
        )
    try:
        if path.suffix == ".mat":
            from scipy.io import loadmat  # which the "train" extra brings

            synsets = loadmat(str(path), squeeze_me=True)["synsets"]
            rows = [(int(row[0]), str(row[1])) for row in synsets if int(row[4]) == 0]  # leaves only
        else:
            rows = [(int(row[1]), row[0]) for row in map(str.split, _lines(path))]
    except ModuleNotFoundError as error:
        raise ValueError(f"{path}: reading it needs scipy; install it, or put map_clsloc.txt there instead.") from error
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not an id map ({error}): pass the kit's meta.mat, or lines such as 'n02119789 1 kit_fox'."
        ) from error
    if len({number for number, _ in rows}) < len(rows) or not all(is_wnid(name) for _, name in rows):
        raise ValueError(f"{path} is not an id map: every number must occur once, with a WordNet id.")
    return dict(rows)
