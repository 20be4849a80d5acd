"""The settings of a conversion: what they may be, and how they are written down."""

import numpy as np
import pytest
import torch

from gmconv_zoo.conversion import CONVERSION_KEYS, Conversion, divide_by_initial_mask
from gmconv_zoo.layers import circular_mask


def test_defaults_are_the_papers():
    assert Conversion().to_dict() == {
        "stem": "dynamic",
        "body": "static",
        "stages": None,
        "sigma_init": 5.0,
        "sigma_design": "ratio",
    }
    assert tuple(Conversion().to_dict()) == CONVERSION_KEYS


@pytest.mark.parametrize("settings", [{}, {"stem": None, "stages": (3, 1), "sigma_init": 2, "sigma_design": "single"}])
def test_settings_come_back_from_what_is_written(settings):
    assert Conversion.from_dict(Conversion(**settings).to_dict()) == Conversion(**settings)


def test_stages_are_a_set_in_order():
    assert Conversion(stages=[3, 1, 3, 2]).stages == (1, 2, 3)
    assert Conversion(stages=range(1, 3)).to_dict()["stages"] == [1, 2]


def test_none_may_be_written_as_a_word():
    assert Conversion(stem="none", body="none") == Conversion(stem=None, body=None)


@pytest.mark.parametrize(
    ("stem", "body", "masks"),
    [("dynamic", "static", True), ("static", None, True), (None, "static", True), (None, None, False)],
)
def test_a_conversion_without_stem_and_body_masks_nothing(stem, body, masks):
    assert Conversion(stem, body).masks_anything is masks


@pytest.mark.parametrize("sigma", [np.float32(2.5), np.int64(2), 2])
def test_sigma_is_a_plain_number(sigma):
    assert type(Conversion(sigma_init=sigma).sigma_init) is float


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma_init": True}, "sigma_init=True"),
        ({"sigma_init": float("inf")}, "sigma_init=inf"),
        ({"sigma_init": float("nan")}, "sigma_init=nan"),
        ({"stages": (True,)}, "stages="),
        ({"stages": (1.0,)}, "stages="),
        ({"stages": "12"}, "stages='12': pass a sequence"),
        ({"stages": (1, 0)}, "counted from 1"),
    ],
)
def test_what_is_no_setting_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Conversion(**settings)
    with pytest.raises(ValueError, match="unknown conversion keys"):
        Conversion.from_dict({"sigma": 1.0})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 2)])
def test_kernel_is_divided_by_the_mask_that_the_layer_will_have(dtype, kernel):
    weight, sigma = torch.randn(2, 3, *kernel, dtype=dtype), 1.3
    mask = circular_mask(torch.tensor([sigma], dtype=dtype), kernel)
    divided = divide_by_initial_mask(weight, sigma)
    assert torch.equal(divided, (weight / mask).to(dtype))
    torch.testing.assert_close((divided * mask).to(dtype), weight)
