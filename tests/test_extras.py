import subprocess
import sys

import pytest

from gmconv_zoo.device import usable_device


def test_package_and_recipes_import_without_the_extras_and_other_modules_say_which_to_install():
    code = (
        "import sys; extras = 'accelerate matplotlib sklearn transformers onnx onnxruntime pycocotools torchao'\n"
        "sys.modules.update(dict.fromkeys(extras.split()))\n"
        "import gmconv_zoo, gmconv_zoo.classify.recipes, gmconv_zoo.classify.evaluate, gmconv_zoo.files.records\n"
        "for name in ('classify.train', 'engine.loop', 'visualize.masks', 'demo.digits', 'detection.evaluate'):\n"
        "    try: __import__('gmconv_zoo.' + name)\n"
        "    except ImportError as error: assert 'pip install \"gmconv_zoo[' in str(error), error\n"
        "    else: raise SystemExit(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["foo", "meta", "cuda:99"])
def test_a_device_that_cannot_compute_is_named_with_what_to_pass(name):
    with pytest.raises(ValueError, match=rf"device='{name}' cannot be used \(.*\): pass \"cpu\".* \(--device\)"):
        usable_device(name)
