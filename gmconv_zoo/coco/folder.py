"""Find the annotation file and the images of a split in a folder."""

from pathlib import Path

from .file import CocoFile, read_coco

__all__ = ["read_split"]


def read_split(
    folder: str | Path, split: str, *, classes: tuple[str, ...] | None = None, clip: bool = False
) -> CocoFile:
    """Read the annotations of a split, from COCO's own layout or from a file next to the images.

    The annotations are annotations/instances_SPLIT*.json, e.g. instances_val2017.json, or SPLIT.json. The images are in
    the folder SPLIT or images/SPLIT, with what the file's name has after SPLIT, in the folder images, or next to the
    annotations; the first of these that holds the first image is used. The other arguments are those of `read_coco`.

    Raises:
        ValueError: when there is no annotation file, or more than one, and as `read_coco`.
    """
    folder = Path(folder)
    patterns = (f"annotations/instances_{split}*.json", f"{split}.json")
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: pass one that holds {' or '.join(patterns)} and the images.")
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    if not found:
        raise ValueError(
            f"{folder} has no annotations of the split {split!r}: looked for {' and '.join(patterns)}. Name your file "
            "so, or pass the folder that holds it."
        )
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        raise ValueError(f"{folder} has several annotation files of the split {split!r}: {names}. Keep one of them.")
    name = found[0].stem.removeprefix("instances_")
    places = [folder / name, folder / "images" / name, folder / "images", folder]
    return read_coco(found[0], places, classes=classes, clip=clip)
