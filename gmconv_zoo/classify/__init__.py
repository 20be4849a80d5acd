"""Image classification: recipes, training, finetuning, prediction and exact evaluation.

Import from the modules themselves, e.g. ``from gmconv_zoo.classify.train import train``: training needs the
"train" extra, recipes and evaluation only torch.
"""
