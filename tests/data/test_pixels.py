"""Images of any depth come out with the brightness they have."""

import numpy as np
import pytest
from PIL import Image

from gmconv_zoo.data.folder import LabelledFiles
from gmconv_zoo.data.image_source import FileReader, ImageSource
from gmconv_zoo.data.pixels import UnreadableImageError, mode_for, read_image, to_mode


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sixteen_bits_become_their_upper_eight(tmp_path, mode):
    values = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    image = read_image(tmp_path / "deep.png", mode)
    assert image.mode == mode
    assert np.asarray(image.convert("L")).tolist() == [[0, 1, 128, 255]]


def test_integers_that_fit_into_a_byte_stay_as_they_are():
    image = Image.fromarray(np.array([[3, 250]], dtype=np.int32))
    assert np.asarray(to_mode(image, "L")).tolist() == [[3, 250]]


def test_floating_point_images_are_named_as_unreadable(tmp_path):
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(UnreadableImageError, match=r"depth\.tif .*floating-point"):
        ImageSource("made", FileReader(LabelledFiles((tmp_path / "depth.tif",), (0,)), tmp_path), None).open(0)


def test_modes_follow_the_networks_channels():
    assert [mode_for(channels) for channels in (1, 3, 4, 7)] == ["L", "RGB", "RGBA", "RGB"]
