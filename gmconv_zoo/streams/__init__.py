"""Streams of images: webdataset shards and streamed Hugging Face datasets, read from beginning to end.

Import from the modules themselves, e.g. ``from gmconv_zoo.streams.open import open_stream``.
"""
