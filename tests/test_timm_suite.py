"""timm's own model tests, from its source distribution, over every model of the zoo.

Run with ``make test-timm``: it fetches the sdist of the installed timm through pip. timm's tests that download
weights are left out, because they need the Hub; `tests/weights` pulls every weight from a loopback server instead.
"""

import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import timm

import gmconv_zoo  # noqa: F401

# timm lists the modules whose models have forward_intermediates by name, so that foreign ones are silently absent.
_PATCH = """
import gmconv_zoo
FEAT_INTER_FILTERS[:] = [module for module in timm.list_modules() if module.startswith('gmconv_')]
"""
# timm names the models of this test; AlexNet pools to 6x6, which smaller maps than 7x7 pass unchanged.
_POOL_TEST = (
    "['test_resnet', 'test_efficientnet', 'densenet121', 'test_convnext'])\ndef test_reset_classifier_keeps_pool(",
    "list_models(['gmconv_*', 'sgmconv_*', 'stdconv_*']))\ndef test_reset_classifier_keeps_pool(",
)
_POOL_IMAGES = tuple(f"global_pool='max').eval()\n    x = torch.randn(2, 3, {side}, {side})" for side in (64, 300))
_ANCHOR = "# transformer / hybrid models don't support"
# Tests parametrised over models: each must be collected for every one of ours.
_PER_MODEL = 12


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timm")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*pip, "-q", "-d", folder, f"timm=={timm.__version__}"], check=True)
    with tarfile.open(next(folder.glob("timm-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    tests = next(folder.glob("timm-*/tests"))
    source = (tests / "test_models.py").read_text()
    assert source.count(_ANCHOR) == 1, "timm has moved the list of modules with intermediates"
    source = source.replace(_ANCHOR, _PATCH + _ANCHOR)
    for old, new in (_POOL_TEST, _POOL_IMAGES):
        assert source.count(old) == 1, "timm has changed the test of pooling"
        source = source.replace(old, new)
    (tests / "test_models.py").write_text(source)
    # run beside the tests alone, so that the installed timm is the one imported
    target = folder / "suite"
    tests.rename(target)
    return target


@pytest.mark.network
@pytest.mark.timeout(1800)
def test_timms_model_tests_pass_for_every_model(suite: Path) -> None:
    ours = sorted(timm.list_models(["gmconv_*", "sgmconv_*", "stdconv_*"]))
    assert ours
    # timm leaves out part of its tests on its own build servers
    env = {key: value for key, value in os.environ.items() if key != "GITHUB_ACTIONS"}
    expression = "(gmconv or stdconv) and not load_pretrained and not features_pretrained"
    command = [sys.executable, "-m", "pytest", "test_models.py", "-v", "-W", "ignore", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, "-k", expression], cwd=suite, env=env, capture_output=True, text=True)
    collected = Counter(
        match[2].split(".")[0] for match in re.finditer(r"::(\w+)\[[\w-]*?((?:s?gm|std)conv_[\w.]+)", run.stdout)
    )
    print("\n".join(f"{collected[name]:4d} timm tests  {name}" for name in ours))
    print(run.stdout.splitlines()[-1])
    assert run.returncode == 0, run.stdout[-6000:]
    assert all(collected[name] >= _PER_MODEL for name in ours)
