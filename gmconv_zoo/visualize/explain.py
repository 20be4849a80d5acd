"""What a network sees in one image: its classes, the mask of its stem, and where the winning class has its evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ..conversion import has_masks
from ..layers.copying import unwrapped
from ..saving.label_names import best_classes, check_classifier, label_names
from .images import ImageFile, image_name, network_input
from .masks import LayerMask, layer_masks
from .receptive_field import differentiable, rectified_gradient

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """What a network sees in one image.

    Attributes:
        classes: (name, probability) of the most probable classes, best first.
        picture: (C, H, W) the image as the network sees it, cropped and resized, in [0, 1].
        evidence: (H, W) how much each pixel raises the winning class's score: the gradient of that score with respect
            to the input, rectified and summed over channels, with every sigma as a constant. It sums to 1, or is 0
            everywhere where the score does not depend on the input.
        stem: the mask of the first masked layer for this image; None for a network without masks.
        mean_sigma: mean horizontal and vertical sigma of that layer over the dataset; None where it is unknown.
        sigma_deviation: standard deviations of these sigmas over the given images; None where it is unknown.
    """

    classes: tuple[tuple[str, float], ...]
    picture: Tensor
    evidence: Tensor
    stem: LayerMask | None = None
    mean_sigma: tuple[float, float] | None = None
    sigma_deviation: tuple[float, float] | None = None

    @property
    def sigma(self) -> tuple[float, float] | None:
        """Horizontal and vertical sigma of the stem for this image in taps; None without masks."""
        return None if self.stem is None else (self.stem.horizontal, self.stem.vertical)

    @property
    def sigma_offset(self) -> tuple[float, float] | None:
        """This image's sigmas less the dataset's mean, in taps; None where one of them is unknown."""
        if self.sigma is None or self.mean_sigma is None:
            return None
        return self.sigma[0] - self.mean_sigma[0], self.sigma[1] - self.mean_sigma[1]


def explain(
    model: nn.Module,
    image: ImageFile,
    *,
    images: Tensor | Sequence[ImageFile] | None = None,
    mean_sigma: tuple[float, float] | None = None,
    topk: int = 5,
) -> Explanation:
    """Explain a classifier's answer for one image.

    Args:
        model: a classifier of timm's interface, with masks or without; it is run in eval mode, and its mode is
            restored.
        image: a file or a decoded image, in any mode and of any size.
        images: sample of the dataset, over which the mean of the stem's sigmas is measured: image files, decoded
            images or a preprocessed tensor (B, C, H, W).
        mean_sigma: that mean, horizontal and vertical in taps, if you know it already; pass it instead of ``images``.
        topk: number of classes, at least 1; at most as many as there are.

    Returns:
        The explanation; `draw_explanation` draws it.

    Raises:
        UnreadableImageError: when an image cannot be read.
        ValueError: for a network without a classifier, outputs that are not finite, a topk below 1, what is not an
            image, or both a mean and images.
    """
    if topk < 1:
        raise ValueError(f"topk={topk}: pass at least 1 (--top).")
    if images is not None and mean_sigma is not None:
        raise ValueError("pass either images, over which the mean sigma is measured, or mean_sigma, not both.")
    if mean_sigma is not None and not (
        isinstance(mean_sigma, Sequence) and len(mean_sigma) == 2 and min(mean_sigma) > 0
    ):
        raise ValueError(f"mean_sigma={mean_sigma!r}: pass the horizontal and the vertical sigma, two numbers above 0.")
    model = unwrapped(model)  # torch.compile ignores hooks that a network gets later
    check_classifier(model)
    x = network_input(model, [image])
    picture = network_input(model, [image], normalize=False)[0].float().cpu()
    with differentiable(model):
        leaf = x.clone().requires_grad_()
        logits = model(leaf)
        evidence = rectified_gradient(logits.max(), leaf)
    probabilities = logits.detach()[0].float().softmax(0)
    best = best_classes(probabilities, label_names(model), topk, image=image_name(image))
    classes = tuple((name, probability) for _, name, probability in best)
    evidence = evidence / evidence.sum().clamp(min=1e-300)
    if not has_masks(model):
        return Explanation(classes, picture, evidence)
    stem, deviation = layer_masks(model, x)[0], None
    if images is not None:
        over = layer_masks(model, network_input(model, images))[0].samples
        mean_sigma, deviation = (tuple(part.tolist()) for part in (over.mean(0), over.std(0, correction=0)))
    return Explanation(classes, picture, evidence, stem, mean_sigma, deviation)
