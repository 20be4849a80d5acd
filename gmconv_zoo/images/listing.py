"""List the images below a folder or named by patterns: one rule for training, validation and prediction."""

import glob
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from ..wording import listed

__all__ = ["find_images", "image_endings", "is_image_name", "list_images", "refuse_inside"]

_logger = logging.getLogger(__name__)

# Formats that Pillow can only write, or recognise without decoding them
_NOT_DECODED = {"BUFR", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}

_HIDDEN = "the name begins with a dot"
_ENDING = "Pillow does not read images with this file ending"
_SAME = "a link to a file that is listed under another name"
_LOOP = "a link to a folder that contains it"
_SPECIAL = "not a regular file"


def image_endings() -> frozenset[str]:
    """Return the endings of files that Pillow reads, in lower case and with their dot."""
    known = Image.registered_extensions()
    return frozenset(ending for ending, form in known.items() if form not in _NOT_DECODED)


def is_image_name(name: str, endings: frozenset[str]) -> bool:
    """Return whether a file of this name, without its folder, counts as an image by its ending."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in endings


def list_images(root: str | Path, *, output: str | Path | None = None) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return every image below a folder, and the folders that may hold some, empty ones included, each in sorted order.

    Images are the files with an ending that Pillow reads, in any case of letters. Names with a leading dot are
    skipped, except that of the folder itself. Symbolic links are followed, but every file is listed once: under its own
    name if it is stored below the root, otherwise under the first link to it. Links to a folder that contains them are
    skipped. One log line counts and names the files that are left out, with the reasons. A broken link is listed as an
    image that cannot be read. ValueError if the output, a folder that will be written, is inside one of the folders.
    """
    walk = _Walk(Path(root), os.path.realpath(root), image_endings())
    walk.run()
    walk.log()
    refuse_inside(output, root, walk.seen)
    return _sorted(walk.images), _sorted(walk.folders[1:])


def find_images(patterns: Iterable[str | Path]) -> list[Path]:
    """Return the image files that are named by paths, folders and patterns.

    Args:
        patterns: files (with any ending), folders (searched as `list_images` does), and patterns such as
            "photos/*.jpg" or "photos/**/*.png". A pattern matches only files with the ending of an image; at least one.

    Returns:
        Files in the order of the patterns, those of one pattern sorted, each once, even if links lead to it.
    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        files = _matching(pattern)
        if not files:
            raise ValueError(f"{str(pattern)!r} names no image: pass files, folders or patterns like 'photos/*.jpg'.")
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def refuse_inside(output: str | Path | None, root: str | Path, real_folders: Set[str] = frozenset()) -> None:
    """Raise ValueError for an output inside a data folder, or inside another folder that a search of it reaches."""
    if output is None:
        return
    place, home = Path(output).resolve(), Path(root).resolve()
    if not (real_folders | {str(home)}).isdisjoint(map(str, (place, *place.parents))):
        raise ValueError(
            f"output={str(output)!r} is inside the data folder {root}, where its pictures would be read as images. "
            f"Choose another output (--output), e.g. {home.parent / f'{home.name}_output'}; move an earlier run there "
            "first."
        )


@dataclass
class _Walk:
    """One walk through a folder: first what it holds itself, then linked folders, then linked files."""

    root: Path
    real_root: str
    endings: frozenset[str]
    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    linked_files: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> None:
        waiting = deque([(str(self.root), self.real_root)])
        while waiting:
            path, real = waiting.popleft()
            if real in self.seen:
                self._leave_out(_SAME, path)
                continue
            self.seen.add(real)
            self.folders.append(path)
            inner, linked = self._open(path, real)
            waiting.extendleft(reversed(inner))
            waiting.extend(linked)
        found = set()
        for path, real in self.linked_files:
            folder, name = os.path.split(real)
            if real in found or (folder in self.seen and is_image_name(name, self.endings) and os.path.isfile(real)):
                self._leave_out(_SAME, path)
            else:
                found.add(real)
                self.images.append(path)

    def log(self) -> None:
        """Log what was left out: hidden names as information, everything else as a warning."""
        if self.left_out:
            reasons = "; ".join(f"{len(names)}: {why} ({listed(names)})" for why, names in self.left_out.items())
            level = logging.INFO if set(self.left_out) == {_HIDDEN} else logging.WARNING
            _logger.log(level, "%s: left out %s", self.root, reasons)

    def _open(self, path: str, real: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Keep the files of a folder, and return path and real path of its own folders and of the linked ones."""
        inner, linked = [], []
        for entry in self._entries(path):
            place = os.path.join(real, entry.name)
            is_link = entry.is_symlink()
            target = os.path.realpath(place) if is_link else place
            is_folder = os.path.isdir(target) if is_link else entry.is_dir()
            if entry.name.startswith("."):
                self._leave_out(_HIDDEN, entry.path)
            elif is_folder and not is_link:
                inner.append((entry.path, place))
            elif is_folder and any(Path(holder).is_relative_to(target) for holder in (real, self.real_root)):
                self._leave_out(_LOOP, entry.path)
            elif is_folder:
                linked.append((entry.path, target))
            elif not is_image_name(entry.name, self.endings):
                self._leave_out(_ENDING, entry.path)
            elif is_link and (os.path.isfile(target) or not os.path.exists(target)):
                self.linked_files.append((entry.path, target))
            elif entry.is_file():
                self.images.append(entry.path)
            else:
                self._leave_out(_SPECIAL, entry.path)
        return inner, linked

    def _entries(self, path: str) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(path) as entries:
                yield from sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if path == str(self.root):
                raise
            self._leave_out(f"the folder cannot be opened, {error.strerror}", path)

    def _leave_out(self, why: str, path: str) -> None:
        self.left_out.setdefault(why, []).append(os.path.relpath(path, self.root))


def _sorted(paths: list[str]) -> tuple[Path, ...]:
    return tuple(map(Path, sorted(paths, key=lambda path: path.split(os.sep))))


def _matching(pattern: str | Path) -> Sequence[Path]:
    path = Path(pattern)
    if path.is_dir():
        return list_images(path)[0]
    if path.exists():
        return [path]
    endings = image_endings()
    files = [Path(name) for name in sorted(glob.glob(str(pattern), recursive=True))]
    return [file for file in files if is_image_name(file.name, endings) and file.is_file()]
