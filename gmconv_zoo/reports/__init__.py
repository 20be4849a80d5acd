"""Reports about classifiers and detectors in one HTML file: the page, its sections, and what each kind adds.

Import from the modules themselves, e.g. ``from gmconv_zoo.reports.classifier import report``.
"""
