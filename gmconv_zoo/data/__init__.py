"""Image sets to train and evaluate on: folders, sets by timm's names, streams, COCO files, images held in memory.

Import from the modules themselves, e.g. ``from gmconv_zoo.data.sources import open_data``; the digits need the "demo"
extra.
"""
