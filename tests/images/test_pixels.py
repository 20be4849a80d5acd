"""Images of any depth come out with the brightness they have, upright, or with the reason why they cannot be read."""

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from gmconv_zoo.images import pixels
from gmconv_zoo.images.folder import LabelledFiles
from gmconv_zoo.images.image_source import ImageSource
from gmconv_zoo.images.pixels import UnreadableImageError, mode_for, read_image, to_mode


@pytest.mark.parametrize(
    ("name", "stored", "dtype", "read"),
    [
        ("deep.png", [0, 256, 32768, 65535], np.uint16, [0, 1, 128, 255]),
        ("deep.pgm", [100, 40000], ">u2", [0, 156]),
        ("dark.pgm", [100, 255], ">u2", [0, 0]),
        ("counts.tif", [-5, 255], np.int32, [0, 255]),
        ("wide.tif", [200, 65280], np.int32, [0, 255]),
        ("wider.tif", [0, 1 << 20], np.int32, [0, 255]),
    ],
)
def test_images_of_more_than_eight_bits_keep_their_brightness(tmp_path, name, stored, dtype, read):
    """The upper eight of sixteen bits are taken; integers of thirty-two bits that fit into eight are kept."""
    values = np.array([stored], dtype)
    if name.endswith("pgm"):
        (tmp_path / name).write_bytes(b"P5 2 1 65535\n" + values.tobytes())
    else:
        Image.fromarray(values).save(tmp_path / name)
    for mode in ("L", "RGB"):
        image = read_image(tmp_path / name, mode)
        assert (image.mode, np.asarray(image.convert("L")).tolist()) == (mode, [read])


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N"])
def test_the_mode_decides_the_scale_and_not_the_brightest_pixel(mode):
    for brightest in (255, 258, 65535):
        image = Image.new(mode, (2, 1), brightest)
        image.putpixel((0, 0), 200)
        assert np.asarray(to_mode(image, "L")).tolist() == [[0, brightest >> 8]]


def test_floating_point_images_are_named_as_unreadable(tmp_path):
    Image.fromarray(np.zeros((2, 2), dtype=np.float32)).save(tmp_path / "depth.tif")
    source = ImageSource("made", LabelledFiles((tmp_path / "depth.tif",), (0,), tmp_path), None)
    with pytest.raises(UnreadableImageError, match=r"depth\.tif .*floating-point"):
        source.read(0)


@pytest.mark.parametrize("size", [(60000, 1), (2, 2001)])
def test_images_too_thin_to_be_resized_are_unreadable(size):
    with pytest.raises(UnreadableImageError, match=f"^{size[0]}x{size[1]} pixels: too thin"):
        read_image(Image.new("L", size), "RGB")
    assert read_image(Image.new("L", (2, 2000)), "RGB").size == (2, 2000)


def test_modes_follow_the_networks_channels():
    assert [mode_for(channels) for channels in (1, 3, 4)] == ["L", "RGB", "RGBA"]
    with pytest.raises(ValueError, match=r"images with 2 channels \(in_chans\), but images are read with 1"):
        mode_for(2)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_as_pillow_turns_them(form, orientation):
    stored = Image.new("RGB", (48, 32))
    stored.paste((255, 0, 0), (0, 0, 24, 16))
    stored.paste((0, 255, 0), (24, 0, 48, 16))
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(file, form, exif=exif)
    with Image.open(file) as image:
        expected = ImageOps.exif_transpose(image)
    image = read_image(file, "RGB")
    assert np.array_equal(image, expected)
    assert np.array_equal(read_image(image, "RGB"), expected)  # nothing is left that would turn it again


def test_images_of_sixteen_bits_are_turned_upright_too():
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.array([[0, 512]], np.uint16)).save(file, "PNG", exif=exif)
    assert np.asarray(read_image(file, "L")).tolist() == [[0], [2]]


def test_a_decoded_image_is_left_as_it_is():
    stored = Image.new("RGB", (4, 2))
    stored.getexif()[ExifTags.Base.Orientation] = 6
    stored.info["exif"] = stored.getexif().tobytes()
    assert read_image(stored, "RGB").size == (2, 4)
    assert (stored.size, stored.getexif()[ExifTags.Base.Orientation]) == ((4, 2), 6)


def test_damaged_exif_data_of_a_readable_image_are_passed_over():
    file = io.BytesIO()
    Image.new("RGB", (4, 2)).save(file, "JPEG", exif=b"Exif\0\0no exif data")
    assert read_image(file, "RGB").size == (4, 2)


def test_every_damaged_byte_of_an_avif_file_is_read_or_named():
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 40, 40)).save(file, "AVIF")
    whole, named = file.getvalue(), 0
    for place in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        try:
            read_image(io.BytesIO(damaged), "RGB")
        except UnreadableImageError as error:
            named += bool(str(error))
    assert named


@pytest.mark.parametrize("error", [RuntimeError("bad\ncode"), IndexError(), Image.DecompressionBombError("large")])
def test_whatever_pillow_raises_becomes_one_line(monkeypatch, error):
    def failing(file):
        raise error

    monkeypatch.setattr(pixels.Image, "open", failing)
    with pytest.raises(UnreadableImageError) as raised:
        read_image("a.psd", "RGB")
    assert str(raised.value) == f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
