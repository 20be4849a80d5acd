"""Images with labels from files: folders, tar archives, label files, Hugging Face datasets, and how each is decoded.

Import from the modules themselves, e.g. ``from gmconv_zoo.images.folder import read_folder``.
"""
