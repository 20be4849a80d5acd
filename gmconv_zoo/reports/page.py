"""A page in one HTML file: sections of text, pictures and tables, and nothing that a browser has to fetch."""

import base64
import csv
import datetime
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jinja2 import Environment, StrictUndefined
from PIL import Image

from .._version import __version__
from ..files.records import replace_text
from ..wording import printable

__all__ = ["Picture", "Section", "write_page"]

_TEMPLATE = Path(__file__).with_name("page_template.html.jinja")


class Picture:
    """A picture that the page holds itself, with what it shows for those who do not see it, and a text below it."""

    def __init__(self, image: Image.Image, alt: str, caption: str = "") -> None:
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True)
        self.data, self.size, self.alt, self.caption = base64.b64encode(file.getvalue()), image.size, alt, caption


@dataclass
class Section:
    """One section of the page, whose parts come in the order of the attributes.

    Attributes:
        title: the heading.
        text: paragraphs.
        facts: names and values in two columns.
        figures: pictures of full width.
        gallery: small pictures, next to each other.
        tables: rows by title, the names of the columns first; a table is folded until it is opened.
    """

    title: str
    text: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    figures: list[Picture] = field(default_factory=list)
    gallery: list[Picture] = field(default_factory=list)
    tables: dict[str, Sequence[Sequence[Any]]] = field(default_factory=dict)

    def draw(self, draw: Callable[[Path], Any], alt: str, *, numbers: str = "") -> None:
        """Add a figure.

        Args:
            draw: writes the figure to a path, and its numbers next to it as CSV.
            alt: what it shows, for those who do not see it.
            numbers: title of a table of these numbers; empty for none.
        """
        with TemporaryDirectory() as folder:
            path = Path(folder, "figure.png")
            draw(path)
            with Image.open(path) as image:
                self.figures.append(Picture(image.convert("RGB"), alt))
            if numbers:
                text = path.with_suffix(".csv").read_text(encoding="utf-8")
                self.tables[numbers] = list(csv.reader(io.StringIO(text)))


def write_page(path: str | Path, title: str, subtitle: str, sections: Sequence[Section]) -> Path:
    """Write a page that ends with version and date, replacing a file that exists; text may have any characters."""
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    footer = f"Made with gmconv_zoo {__version__} on {datetime.date.today().isoformat()}."
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    replace_text(Path(path), template.render(title=title, subtitle=subtitle, sections=sections, footer=footer))
    return Path(path)
