"""The base class of the zoo's own networks: the parts of timm's model interface that do not depend on their layers."""

from typing import Any

import torch
from timm.models import checkpoint
from timm.models._features import feature_take_indices
from torch import Tensor, nn

__all__ = ["ChainNet"]


class ChainNet(nn.Module):
    """A network that is a chain of segments, after some of which a feature map can be taken (a tap).

    A subclass sets `feature_info` and `grad_checkpointing`, and implements `chain`, `drop_behind`,
    `reset_classifier` and a scriptable `forward_features`.

    Attributes:
        feature_info: timm's list with one entry per tap: channels, reduction in pixels and the module before it.
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
        """Return the segments in the order in which they run, each with the name of its tap, or "" if it has none."""
        raise NotImplementedError

    @torch.jit.ignore
    def drop_behind(self, tap: str) -> None:
        """Remove every segment after a tap."""
        raise NotImplementedError

    @torch.jit.ignore
    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Give the network a new classifier."""
        raise NotImplementedError

    def forward_features(self, x: Tensor) -> Tensor:
        """Return the last feature map of (B, C, H, W) images."""
        raise NotImplementedError

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the logits of the last feature map, or with pre_logits the classifier's input."""
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
        """Return feature maps at the taps of `feature_info`.

        Args:
            x: (B, C, H, W) images.
            indices: the last n taps for an int, the taps with these numbers for a list, all taps for None.
            norm: accepted because timm's networks have it; there is no final norm.
            stop_early: stop after the last tap that is asked for; the final features are then its map.
            output_fmt: "NCHW".
            intermediates_only: return the maps alone.

        Returns:
            A list of the maps in the order of the network, or a tuple of the final features and this list.

        Raises:
            ValueError: for another output format.
            AssertionError: for a tap that does not exist, as in timm.
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
        """Remove the segments after the last tap that is asked for, and the head.

        Args:
            indices: as in `forward_intermediates`.
            prune_norm: accepted because timm's networks have it; there is no final norm.
            prune_head: remove the head even if no segment is removed.

        Returns:
            The numbers of the taps that were asked for.
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
        """Return the (B, num_classes) logits of (B, C, H, W) images."""
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
