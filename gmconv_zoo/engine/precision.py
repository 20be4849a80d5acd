"""Precisions of training and evaluation."""

import torch

__all__ = ["PRECISIONS"]

# Name of a precision to the type of autocast
PRECISIONS = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
