"""Image classification: recipes, data in memory, training and exact evaluation.

Import from the modules themselves, e.g. ``from gmconv_zoo.classify.train import train``: training needs the
"train" extra, the digits need "demo", recipes and evaluation only torch.
"""
