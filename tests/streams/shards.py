"""Shards of one-coloured images that tell which image they are, and a reading of their numbers."""

import io
import tarfile

from PIL import Image

STEP = 3


def write_tar(path, files):
    """Write an archive of (name, content) pairs."""
    with tarfile.open(path, "w") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def png(number):
    """The file of image ``number``."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8), (STEP * number,) * 3).save(picture, "PNG")
    return picture.getvalue()


def make_shards(folder, name, sizes, damaged=()):
    """Write ``name``-0.tar and so on with so many images each; image i is grey of 3 i and of class i modulo 3.

    Those of the numbers in ``damaged`` are cut off.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = 0
    for shard, size in enumerate(sizes):
        files = []
        for _ in range(size):
            stored = png(number)[: 45 if number in damaged else None]
            files += [(f"{number:04}.png", stored), (f"{number:04}.cls", str(number % 3).encode())]
            number += 1
        write_tar(folder / f"{name}-{shard}.tar", files)
    return folder


def numbers(images):
    """Which images a (B, 3, 8, 8) batch in [0, 1] has."""
    return (images[:, 0, 0, 0] * 255 / STEP).round().long().tolist()
