"""Files that a run writes and replaces as a whole; import from the modules, e.g. ``gmconv_zoo.files.records``."""
