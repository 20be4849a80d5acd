"""Read images from an uncompressed tar file, which holds a folder for each class."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any
from unicodedata import normalize

from ..wording import listed
from .folder import are_splits, natural_key
from .listing import image_endings, is_image_name

__all__ = ["TarReader"]


class TarReader:
    """Images in a tar file, read from their places in it, with one label per image.

    The classes are the names of the folders that directly hold the images, in natural order ("2" before "10").

    Raises:
        ValueError: when the file is cut off or not a tar file, or has no images, images without a folder, or several
            splits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                found = sorted(_images(file), key=lambda image: natural_key(str(image[0])))
        except tarfile.TarError as error:
            raise ValueError(
                f"{path} is not a complete tar file ({error}). Pass a folder, or a whole, uncompressed tar file."
            ) from error
        names = [normalize("NFC", name.parent.name) for name, _, _ in found]
        if not found:
            raise ValueError(f"{path} holds no images: put the images of each class into their own folder.")
        if loose := [str(name) for (name, _, _), parent in zip(found, names, strict=True) if not parent]:
            raise ValueError(
                f"{path}: {listed(loose)} are stored outside of class folders. Move them into class folders."
            )
        if are_splits({part for name, _, _ in found for part in name.parts[:-2]}):
            raise ValueError(f"{path} holds splits, which would be mixed. Pass a tar file of one split.")
        self.images = found
        self.classes = sorted(set(names), key=natural_key)
        place = {name: index for index, name in enumerate(self.classes)}
        self.labels = [place[name] for name in names]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return an open file and its label."""
        _, start, size = self.images[index]
        with self.path.open("rb") as file:
            file.seek(start)
            return io.BytesIO(file.read(size)), self.labels[index]

    def filename(self, index: int) -> str:
        """Return the path of the tar file followed by the name of an image in it."""
        return f"{self.path}/{self.images[index][0]}"


def _images(file: IO[bytes]) -> Iterator[tuple[PurePosixPath, int, int]]:
    """Yield the name, position and size of every image in a tar file."""
    endings, end = image_endings(), 0
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            if member.isfile() and is_image_name(name.name, endings):
                yield name, member.offset_data, member.size
    file.seek(end)  # where tarfile sees an end, whether or not the end is marked
    if len(file.read(tarfile.BLOCKSIZE)) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("its end is missing")
