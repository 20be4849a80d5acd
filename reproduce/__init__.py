"""How this project's own numbers, tables, cards and pictures are made; not part of the installed package."""

from pathlib import Path

# The checkout, whose results and pages these commands write.
ROOT = Path(__file__).parents[1]
