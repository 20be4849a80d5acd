"""Images with boxes in COCO's format: annotation files, folders, samples and batches, and generated shapes.

Import from the modules themselves, e.g. ``from gmconv_zoo.coco.file import read_coco``.
"""
