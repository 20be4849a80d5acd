"""The images of a detector, resized and normalised as torchvision does it."""

from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

__all__ = ["Resize", "TooThinError"]


class TooThinError(ValueError):
    """An image of which less than one pixel would be left."""


class Resize(GeneralizedRCNNTransform):
    """torchvision's transform, which names the size of an image that is too thin to be resized."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """Resize a (3, H, W) image and its boxes.

        Raises:
            TooThinError: when the longer side is more than `max_size` times the shorter one.
        """
        shorter, longer = sorted(image.shape[-2:])
        if self.max_size * shorter < longer:
            raise TooThinError(
                f"an image of {image.shape[-1]}x{image.shape[-2]} pixels is too thin: resized to at most "
                f"{self.max_size} pixels, its shorter side would vanish. Leave it out, or crop it."
            )
        return super().resize(image, target)
