"""Datasets to train and evaluate on: folders, datasets by timm's names, images in memory, their classes' order.

Import from the modules themselves, e.g. ``from gmconv_zoo.data.sources import open_data``.
"""
