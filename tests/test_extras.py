import subprocess
import sys

import pytest
import torch

from gmconv_zoo.device import usable_device
from gmconv_zoo.extras import needs_extra


def test_missing_module_says_which_extra_to_install():
    with pytest.raises(ImportError, match=r'pip install "gmconv_zoo\[train\]"'), needs_extra("train"):
        import a_module_that_does_not_exist  # noqa: F401


def test_package_and_recipes_import_without_the_extras():
    code = (
        "import sys; extras = 'accelerate matplotlib sklearn transformers onnx onnxruntime pycocotools torchao'\n"
        "sys.modules.update(dict.fromkeys(extras.split()))\n"
        "import gmconv_zoo, gmconv_zoo.classify.recipes, gmconv_zoo.classify.evaluate, gmconv_zoo.files.records\n"
        "for name in ('classify.train', 'engine.loop', 'visualize.masks', 'demo.digits', 'detection.evaluate'):\n"
        "    try: __import__('gmconv_zoo.' + name)\n"
        "    except ImportError as error: assert 'pip install' in str(error), error\n"
        "    else: raise SystemExit(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["foo", "meta", "cuda:99"])
def test_a_device_that_cannot_compute_is_named_with_what_to_pass(name):
    with pytest.raises(ValueError, match=rf"device='{name}' cannot be used \(.*\): pass \"cpu\".* \(--device\)"):
        usable_device(name)


def test_the_cpu_can_be_used():
    assert usable_device("cpu") == torch.device("cpu")
