"""What the app of demo/ shows for an image, without the app."""

import importlib.util
import re
from pathlib import Path

import pytest
from PIL import Image

import gmconv_zoo
from gmconv_zoo.images.pixels import UnreadableImageError
from tests.reports.report_run import noise

DEMO = Path(__file__).parents[2] / "demo"


@pytest.fixture(scope="module")
def explained():
    spec = importlib.util.spec_from_file_location("explained", DEMO / "explained.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(explained):
    return explained.open_network()


def test_examples_are_drawn_and_those_of_cifar_classes_recognized(explained, model, tmp_path):
    paths = explained.save_examples(tmp_path)
    first = [next(iter(explained.explain_file(model, path).classes)) for path in paths]
    assert [Path(path).stem for path in paths] == list(explained.EXAMPLES)
    assert first[:3] == ["airplane", "ship", "automobile"]


def test_words_say_what_the_mask_keeps(explained, model, tmp_path):
    path = tmp_path / "noise.png"
    noise(size=60).save(path)
    found = explained.explain_file(model, path)
    mask = gmconv_zoo.explain(model, path).stem.values()
    assert re.findall(r"\*\*(\d+) %\*\*", found.words) == [f"{100 * mask[1, 0]:.0f}", f"{100 * mask[0, 1]:.0f}"]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_any_mode_and_a_single_pixel_are_explained(explained, model, tmp_path, mode):
    Image.new(mode, (1, 1)).save(tmp_path / "pixel.png")
    found = explained.explain_file(model, tmp_path / "pixel.png")
    assert len(found.classes) == 5
    assert min(*found.mask.size, *found.evidence.size) > 300


def test_message_about_an_unreadable_image_has_no_path(explained, model, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"^the image cannot be read: not an image$"):
        explained.explain_file(model, tmp_path / "broken.png")


def test_space_names_its_file_and_a_version_of_gradio_that_is_allowed():
    header = dict(re.findall(r"^(\w+): (.+)$", (DEMO / "README.md").read_text(encoding="utf-8"), re.M))
    assert (DEMO / header["app_file"]).is_file()
    assert header["sdk"] == "gradio"
    low, high = re.search(r"^gradio>=([\d.]+),<(\d+)$", (DEMO / "requirements.txt").read_text(), re.M).groups()
    assert header["sdk_version"].startswith(low)
    assert int(header["sdk_version"].split(".")[0]) < int(high)
