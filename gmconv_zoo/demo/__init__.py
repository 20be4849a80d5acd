"""The demo: a network is finetuned on handwritten digits and taken through everything that comes after.

Import from the modules themselves, e.g. ``from gmconv_zoo.demo.run import run_demo``; it needs the "demo" extra.
"""
