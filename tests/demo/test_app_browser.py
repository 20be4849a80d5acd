"""The app of demo/ in headless Chromium: no outside request, no script error, and an answer for every upload."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

BROWSER = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="chromium is not installed: make test-browser installs it"),
]
pytest.importorskip("gradio", reason="gradio is not installed: make test-browser installs it")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test-browser does it")

ROOT = Path(__file__).parents[2]
ANSWER = "of the weights left and right"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Where the app answers, started as a Space starts it; it must not need a connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1"}
    log = tmp_path_factory.mktemp("app") / "log"
    with log.open("w") as output, subprocess.Popen(
        [sys.executable, "app.py"], cwd=ROOT / "demo", env=env, stdout=output, stderr=output
    ) as app:  # fmt: skip
        try:
            for _ in range(120):
                assert app.poll() is None, log.read_text()
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5)
                    break
                except OSError:
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}/"
        finally:
            app.terminate()


@contextmanager
def opened(address: str, width: int = 1280):
    """The page with both examples answered, and a list of what goes wrong in it."""
    complaints = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})

        def gate(route):
            if route.request.url.startswith((address, "data:", "blob:")):
                route.continue_()
            else:
                complaints.append(f"outside: {route.request.url}")
                route.abort()

        page.route("**/*", gate)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
        page.goto(address)
        playwright.expect(page.get_by_text(ANSWER)).to_have_count(2, timeout=60_000)
        yield page, complaints
        browser.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_page_fits_its_window_and_asks_nobody_else(address, width):
    with opened(address, width) as (page, complaints):
        for picture in page.get_by_alt_text("for image").all() + page.get_by_alt_text("of image").all():
            picture.scroll_into_view_if_needed()
            playwright.expect(picture).to_have_js_property("complete", True)
        element = "document.documentElement"
        assert page.evaluate(f"{element}.scrollWidth") <= page.evaluate(f"{element}.clientWidth")
        broken = "[...document.images].filter(image => image.complete && !image.naturalWidth).length"
        assert (complaints, page.evaluate(broken)) == ([], 0)


def test_uploads_give_answers_and_what_cannot_be_read_is_said(address, tmp_path):
    Image.new("L", (1, 1), 200).save(tmp_path / "grey.png")
    Image.new("RGBA", (300, 20), (200, 30, 30, 90)).save(tmp_path / "clear.png")
    Image.effect_noise((64, 64), 90).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:600])
    (tmp_path / "text.png").write_text("no image")
    with opened(address) as (page, complaints):
        said = page.get_by_text(ANSWER)
        for name in ("grey.png", "clear.png"):
            before = said.first.inner_text()
            page.get_by_label("Remove Image").first.click()
            playwright.expect(page.get_by_text("Pick an example, or upload an image.")).to_have_count(1)
            page.locator("input[type=file]").first.set_input_files(tmp_path / name)
            playwright.expect(said).to_have_count(2, timeout=30_000)
            playwright.expect(said.first).not_to_have_text(before)
        page.get_by_role("button", name="car", exact=True).last.click()
        playwright.expect(page.get_by_test_id("label-output-value").last).to_contain_text("automobile", timeout=30_000)
        assert complaints == []
        for name, message in (("cut.png", "the image cannot be read"), ("text.png", "cannot identify image")):
            page.get_by_label("Remove Image").first.click()
            playwright.expect(page.get_by_text("Pick an example, or upload an image.")).to_have_count(1)
            page.locator("input[type=file]").first.set_input_files(tmp_path / name)
            playwright.expect(page.get_by_text(message)).to_be_visible(timeout=30_000)
