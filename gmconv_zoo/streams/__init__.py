"""Streams of images: webdataset shards and streamed Hugging Face datasets, read from beginning to end."""
