"""Give PyPI the README with absolute links, because PyPI does not have the files of the repository."""

import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
(REPOSITORY,) = re.findall(r'^REPOSITORY = "(.+)"$', (ROOT / "gmconv_zoo" / "_version.py").read_text(), re.M)

text = (ROOT / "README.md").read_text(encoding="utf-8")
text = re.sub(r"(!\[[^\]]*\]\()(?!\w+://)", rf"\1{REPOSITORY}/raw/main/", text)  # pictures
text = re.sub(r"(\]\()(?!\w+://|#)", rf"\1{REPOSITORY}/blob/main/", text)
setup(long_description=text, long_description_content_type="text/markdown")
