"""What the zoo's own network classes share: the parts of timm's model contract that no layer decides."""

from typing import Any

import torch
from timm.models import checkpoint
from timm.models._features import feature_take_indices
from torch import Tensor, nn

__all__ = ["ChainNet"]


class ChainNet(nn.Module):
    """A network that is a chain of segments, with a feature map to tap behind some of them.

    A subclass sets `feature_info` and `grad_checkpointing`, and implements `chain`, `drop_behind`,
    `reset_classifier` and a scriptable `forward_features`.

    Attributes:
        feature_info: timm's list, one entry per tap: channels, reduction in pixels and the module it lies behind.
        num_features: channels of the last segment's output.
        head_hidden_size: size of the vector the classifier receives.
        grad_checkpointing: whether segments are recomputed in the backward pass.
    """

    feature_info: list[dict[str, Any]]
    num_features: int
    head_hidden_size: int
    grad_checkpointing: bool

    @torch.jit.ignore
    def chain(self) -> list[tuple[str, nn.Module]]:
        """The segments in the order they run, each with the name of its tap, or "" where there is none."""
        raise NotImplementedError

    @torch.jit.ignore
    def drop_behind(self, tap: str) -> None:
        """Replace every segment behind a tap by nothing."""
        raise NotImplementedError

    @torch.jit.ignore
    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Give the network a new classifier."""
        raise NotImplementedError

    def forward_features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) images to the last feature map."""
        raise NotImplementedError

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last feature map to logits, or to the vector before the classifier."""
        raise NotImplementedError

    @torch.jit.ignore
    def drop_head(self) -> None:
        """Remove pooling and classifier, so that the network ends in its last feature map."""
        self.reset_classifier(0, "")

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute segments in the backward pass instead of keeping their activations."""
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Feature maps at the taps of `feature_info`.

        Args:
            x: (B, C, H, W) images.
            indices: the last n taps if an int, those listed if a sequence, all if None.
            norm: accepted for timm's interface; there is no final norm.
            stop_early: stop behind the last tap that is wanted.
            output_fmt: "NCHW" only.
            intermediates_only: return the maps alone.

        Returns:
            The maps, or the final features and the maps.

        Raises:
            ValueError: for another output format.
        """
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt={output_fmt!r}: feature maps are 'NCHW' only.")
        wanted, deepest = feature_take_indices(len(self.feature_info), indices)
        taps = {info["module"]: index for index, info in enumerate(self.feature_info)}
        maps = []
        for tap, segment in self.chain():
            x = self._run(segment, x)
            if taps.get(tap) in wanted:
                maps.append(x)
            if stop_early and taps.get(tap) == deepest:
                break
        return maps if intermediates_only else (x, maps)

    @torch.jit.ignore
    def prune_intermediate_layers(
        self, indices: int | list[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop what lies behind the last tap that is wanted, and the head with it.

        Args:
            indices: as in `forward_intermediates`.
            prune_norm: accepted for timm's interface; there is no final norm.
            prune_head: drop the head even when nothing before it is dropped.

        Returns:
            The taps kept.
        """
        wanted, deepest = feature_take_indices(len(self.feature_info), indices)
        pruned = deepest < len(self.feature_info) - 1
        if pruned:
            self.drop_behind(self.feature_info[deepest]["module"])
            self.num_features = self.head_hidden_size = self.feature_info[deepest]["num_chs"]
        if prune_head or pruned:
            self.drop_head()
        return wanted

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) images to (B, num_classes) logits."""
        x = self.forward_features(x)
        return self.forward_head(x)

    @torch.jit.ignore
    def _run_chain(self, x: Tensor) -> Tensor:
        for _, segment in self.chain():
            x = self._run(segment, x)
        return x

    def _run(self, segment: nn.Module, x: Tensor) -> Tensor:
        if self.grad_checkpointing and x.requires_grad:
            return checkpoint(segment, x)
        return segment(x)
