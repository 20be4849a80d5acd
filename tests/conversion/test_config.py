"""The settings of a conversion: what they may be, and how they are written down."""

import numpy as np
import pytest

from gmconv_zoo.conversion import CONVERSION_KEYS, Conversion


def test_defaults_are_the_papers():
    papers = {"stem": "dynamic", "body": "static", "stages": None, "sigma_init": 5.0, "sigma_design": "ratio"}
    assert Conversion().to_dict() == papers
    assert tuple(Conversion().to_dict()) == CONVERSION_KEYS


@pytest.mark.parametrize("settings", [{}, {"stem": None, "stages": (3, 1), "sigma_init": 2, "sigma_design": "single"}])
def test_settings_come_back_from_what_is_written(settings):
    assert Conversion.from_dict(Conversion(**settings).to_dict()) == Conversion(**settings)


def test_settings_are_brought_into_one_form():
    assert Conversion(stages=[3, 1, 3, 2]).stages == (1, 2, 3)
    assert Conversion(stages=range(1, 3)).to_dict()["stages"] == [1, 2]
    assert Conversion(stem="none", body="none") == Conversion(stem=None, body=None)
    assert {type(Conversion(sigma_init=sigma).sigma_init) for sigma in (np.float32(2.5), np.int64(2), 2)} == {float}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sigma_init": True}, "sigma_init=True"),
        ({"sigma_init": float("inf")}, "sigma_init=inf"),
        ({"stages": (True,)}, "stages="),
        ({"stages": (1.0,)}, "stages="),
        ({"stages": "12"}, "stages='12': pass a sequence"),
    ],
)
def test_what_is_no_setting_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Conversion(**settings)
    with pytest.raises(ValueError, match="unknown conversion keys"):
        Conversion.from_dict({"sigma": 1.0})
