"""The Gaussian mask convolutions as drop-in layers; import their helpers from the modules themselves."""

from .copying import check_network, copy_network
from .dynamic import DGMConv2d
from .masks import circular_mask, elliptical_mask
from .per_sample_conv import FORMS
from .static import SGMConv2d

__all__ = ["FORMS", "DGMConv2d", "SGMConv2d", "check_network", "circular_mask", "copy_network", "elliptical_mask"]
