"""The Gaussian mask convolutions as drop-in layers."""

from .copying import check_network, copy_network, take_attributes
from .dynamic import SIGMA_DESIGNS, STEM_HIDDEN_CHANNELS, DGMConv2d
from .masks import circular_mask, elliptical_mask, smallest_mask_value
from .per_sample_conv import FORMS
from .static import SGMConv2d, check_sigma_init, initial_sigma

__all__ = [
    "FORMS",
    "SIGMA_DESIGNS",
    "STEM_HIDDEN_CHANNELS",
    "DGMConv2d",
    "SGMConv2d",
    "check_network",
    "check_sigma_init",
    "circular_mask",
    "copy_network",
    "elliptical_mask",
    "initial_sigma",
    "smallest_mask_value",
    "take_attributes",
]
