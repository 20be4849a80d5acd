"""The snippets of docs/consumers.md, run with every model of the table in their place."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .models import consumer

PAGE = (Path(__file__).parents[2] / "docs" / "consumers.md").read_text(encoding="utf-8")
# by heading: the first block of Python under it
_SECTIONS = [section.partition("\n") for section in PAGE.split("\n## ")[1:]]
SNIPPETS = {
    title: found[1] for title, _, body in _SECTIONS if (found := re.search(r"^```python\n(.+?)^```", body, re.M | re.S))
}
NAMED = "gmconv_resnet18"


def runs(title: str, heading: str, *, needs: str = "") -> Callable[..., None]:
    """A row of the table: the snippet under a heading, with another model in it; it may need a package."""

    def test(name, tmp_path, monkeypatch):
        if needs:
            pytest.importorskip(needs)
        monkeypatch.chdir(tmp_path)
        code = SNIPPETS[heading]
        assert NAMED in code
        exec(compile(code.replace(NAMED, name), f"consumers.md: {heading}", "exec"), {"__name__": "consumers"})

    return consumer(title)(test)


test_segmentation_encoder = runs(
    "segmentation-models-pytorch encoder",
    "segmentation-models-pytorch: an encoder",
    needs="segmentation_models_pytorch",
)
test_faster_rcnn_trains_and_detects = runs("torchvision Faster R-CNN", "torchvision: Faster R-CNN on feature maps")
test_automodel_opens_a_published_folder = runs(
    "transformers AutoModel", "transformers: AutoModel and the image processor", needs="transformers"
)
test_timm_backbone_gives_maps = runs("transformers TimmBackbone", "transformers: TimmBackbone", needs="transformers")
test_trainer_moves_the_masks = runs("transformers Trainer", "transformers: Trainer", needs="transformers")
test_torch_counts_what_the_plain_network_costs = runs("torch flop counter", "Counting operations: torch")
test_fvcore_counts_what_the_plain_network_costs = runs("fvcore", "Counting operations: fvcore", needs="fvcore")


def test_every_snippet_has_a_row_of_its_own():
    assert len(SNIPPETS) == 7
