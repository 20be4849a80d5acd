"""timm's own train, validate and benchmark scripts, from a checkout that the variable TIMM_SCRIPTS names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from ..images.image_folders import make_folder
from .models import consumer, side

SCRIPTS = Path(os.environ.get("TIMM_SCRIPTS", ""))
pytestmark = pytest.mark.skipif(not os.environ.get("TIMM_SCRIPTS"), reason="TIMM_SCRIPTS names no checkout of timm")
RUN = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "capture_output": True, "text": True}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for split in ("train", "validation"):
        make_folder(folder / split, 8, classes=("a", "b"), side=80)
    return folder


def run(script: str, *args, registered: bool = False, cwd: Path) -> str:
    # started by path, a script would import the timm of its checkout instead of the installed one
    start = (
        f"import runpy, sys; sys.argv[0] = {script!r}; runpy.run_path({str(SCRIPTS / script)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", start if registered else f"import gmconv_zoo; {start}"]
    done = subprocess.run([*command, *map(str, args)], cwd=cwd, **RUN)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@consumer("timm train.py")
def test_timms_train_script(name, photos, tmp_path):
    data = ["--data-dir", photos, "--model", name, "--num-classes", 2, "--img-size", side(name)]
    loop = ["--epochs", 1, "--batch-size", 4, "--workers", 0, "--device", "cpu", "--output", tmp_path, "--lr", 0.01]
    run("train.py", *data, *loop, "--warmup-epochs", 0, "--device-modules", "gmconv_zoo", registered=True, cwd=tmp_path)
    assert list(tmp_path.rglob("summary.csv"))


@consumer("timm validate.py")
def test_timms_validation_script(name, photos, tmp_path):
    weights = tmp_path / "net.safetensors"  # without a checkpoint the script asks for pretrained weights
    save_file(timm.create_model(name, num_classes=2).state_dict(), weights)
    data = ["--data-dir", photos, "--split", "validation", "--model", name, "--num-classes", 2, "--checkpoint", weights]
    loop = ["--batch-size", 4, "--workers", 0, "--device", "cpu", "--img-size", side(name)]
    assert '"top1"' in run("validate.py", *data, *loop, cwd=tmp_path)


@consumer("timm benchmark.py")
def test_timms_benchmark_script(name, tmp_path):
    loop = ["--num-warm-iter", 1, "--num-bench-iter", 5, "--batch-size", 2, "--device", "cpu", "--img-size", side(name)]
    assert "infer_samples_per_sec" in run("benchmark.py", "--model", name, "--bench", "infer", *loop, cwd=tmp_path)
