"""Files that a run writes and replaces as a whole: records as CSV and JSON, and state files of tensors.

Import from the modules themselves, e.g. ``from gmconv_zoo.files.records import write_json``.
"""
