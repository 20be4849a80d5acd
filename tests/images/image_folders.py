"""Generated folders of small images."""

import numpy as np
from PIL import Image

CLASSES = ("cat", "dog", "owl")


def make_folder(root, images=24, classes=CLASSES, side=40, name="{}.png"):
    """Noise with a tint of its own for each class, so that it can be learned; images of unequal sides."""
    random = np.random.RandomState(0)
    for i in range(images):
        which = i % len(classes)
        pixels = random.randint(0, 120, (side, side + 8, 3))
        pixels[..., which % 3] += 100
        path = root / classes[which] / name.format(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype("uint8")).save(path)
    return root


def make_splits(root, train=24, val=6, **options):
    """A folder with the splits train and val."""
    for split, images in (("train", train), ("val", val)):
        make_folder(root / split, images, **options)
    return root
