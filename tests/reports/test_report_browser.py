"""The report in headless Chromium: no refused request, no error, and nothing wider than the window."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.reports.report_run import write_report

BROWSER = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="chromium is not installed: make test-browser installs it"),
]
# Run in a page that shows the report in a frame of a given width, and writes what it finds into its own title.
MEASURE = """<!doctype html><iframe id="frame" src="{page}" style="width:{width}px;height:800px;border:0"></iframe>
<script>frame.onload = () => {{
  const page = frame.contentDocument, body = page.body;
  page.querySelectorAll("details").forEach(part => part.open = true);
  const wide = [...body.querySelectorAll("*")].filter(part =>
    !part.parentElement.closest(".scroll") && part.getBoundingClientRect().right > {width} + 1);
  document.title = JSON.stringify({{
    sideways: page.documentElement.scrollWidth > page.documentElement.clientWidth,
    wide: wide.map(part => part.outerHTML.slice(0, 80)),
    broken: [...page.images].filter(image => !image.naturalWidth).length,
    images: page.images.length,
    small: [...body.querySelectorAll("p,dd,dt,td,th,a,summary,figcaption")].filter(part =>
      parseFloat(getComputedStyle(part).fontSize) < 14).length,
    scripts: page.scripts.length,
  }});
}}</script>"""


def chromium(page: Path, *options: str) -> subprocess.CompletedProcess:
    """Open a page without any connection."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--allow-file-access-from-files",
        "--disable-background-networking",
    ]
    command += [f"--user-data-dir={page.parent / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def complaints(done: subprocess.CompletedProcess) -> list[str]:
    """What a page's console says: errors of scripts, and requests that were refused or failed."""
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return write_report(tmp_path_factory.mktemp("browser"), patch)


@pytest.mark.parametrize("harm", ['<img src="https://example.org/a.png">', "<script>document.title = 1</script>"])
def test_page_refuses_requests_and_scripts_and_the_browser_says_so(page, harm):
    harmful = page.with_name("harmful.html")
    harmful.write_text(page.read_text().replace("<main", f"{harm}<main"))
    assert complaints(chromium(harmful, "--dump-dom"))


@pytest.mark.parametrize("width", [360, 1280])
def test_report_fits_its_window_and_shows_every_picture(page, width):
    outer = page.with_name(f"outer{width}.html")
    outer.write_text(MEASURE.format(page=page.name, width=width))
    done = chromium(outer, f"--window-size={width},900", "--virtual-time-budget=10000", "--dump-dom")
    found = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", done.stdout, re.S).group(1)))
    assert not complaints(done)
    assert found == {"sideways": False, "wide": [], "broken": 0, "images": found["images"], "small": 0, "scripts": 0}
    assert found["images"] > 10


@pytest.mark.parametrize(("scheme", "option"), [("light", "1"), ("dark", "0")])
def test_report_follows_the_colours_of_the_system(page, scheme, option):
    picture = page.with_name(f"{scheme}.png")
    options = (f"--blink-settings=preferredColorScheme={option}", "--window-size=360,800", f"--screenshot={picture}")
    assert not complaints(chromium(page, *options))
    with Image.open(picture) as image:
        shade = image.convert("L").getpixel((2, 2))
    assert shade > 200 if scheme == "light" else shade < 60
