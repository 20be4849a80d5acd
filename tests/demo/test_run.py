import json
import re

import pytest

from gmconv_zoo.demo.run import run_demo


def test_demo_command_takes_a_network_all_the_way(tmp_path, gmconv):
    options = ("--model", "sgmconv_cifar_resnet20", "--epochs", "2", "--images", "80", "--output", tmp_path / "out")
    status, out, err = gmconv("demo", *options)
    assert status == 0
    assert "epoch 2/2" in err
    score = json.loads((tmp_path / "out" / "results.json").read_text())["score"]
    assert f"loaded back through timm: {score['top1']} of 20 validation images are correct" in out
    assert len(re.findall(r"^ +(\d) +(\d) +\d+\.\d%$", out, re.MULTILINE)) == 8
    assert "largest logit difference" in out
    assert (tmp_path / "out" / "masks.gif").is_file()
    assert "from an earlier run" in gmconv("demo", *options)[0]


def test_demo_says_what_went_wrong_for_a_model_without_masks(tmp_path):
    with pytest.raises(ValueError, match=r"stdconv_cifar_resnet20. has no Gaussian masks: pass a gmconv_ or sgmconv_"):
        run_demo("stdconv_cifar_resnet20", tmp_path, images=80, epochs=1, progress=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_demo_reaches_97_percent(tmp_path):
    result = run_demo(output=tmp_path, progress=False)
    assert result.score.count == 450
    assert result.score.top1_percent >= 97
