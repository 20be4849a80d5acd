"""Validation of classifiers: exact counts on a dataset, and their comparison with documented accuracies.

Import from the modules themselves, e.g. ``from gmconv_zoo.validation.run import run_validation``.
"""
