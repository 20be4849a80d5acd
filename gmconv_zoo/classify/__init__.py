"""Image classification: recipes, training, finetuning, prediction and exact evaluation.

Import from the modules themselves, e.g. ``from gmconv_zoo.classify.train import finetune``.
"""
