"""docs/look-inside.md lists the figures that are drawn."""

import re
from pathlib import Path

from gmconv_zoo.visualize import draw_model

PAGE = (Path(__file__).parents[2] / "docs" / "look-inside.md").read_text(encoding="utf-8")


def test_every_figure_is_listed():
    assert re.findall(r"^\| `(\w+)\.png`", PAGE, re.M) == [*draw_model.MASK_FIGURES, "receptive_field"]
