"""The report accounts for every convolution and prints as a table."""

import torch
from torch import nn

import gmconv_zoo

from .networks import plain


def test_it_prints_a_row_per_convolution_and_a_total():
    converted = gmconv_zoo.convert(plain("stdconv_cifar_resnet20"), stages=(1,))
    lines = str(gmconv_zoo.conversion_report(converted)).splitlines()
    assert lines[0].split() == ["name", "layer", "kernel", "stage", "mask"]
    assert lines[1].split() == ["conv1", "DGMConv2d", "3x3", "stem", "dynamic"]
    assert lines[-2].endswith("none (not in stages (1,))")
    assert lines[-1] == "7 of 19 convolutions carry a Gaussian mask."


def test_a_plain_network_and_one_without_convolutions():
    report = gmconv_zoo.conversion_report(nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv1d(3, 3, 3)))
    assert [row.reason for row in report] == ["not converted", "Conv1d is not a Conv2d"]
    assert list(gmconv_zoo.conversion_report(nn.Linear(2, 2))) == []


def test_the_sigma_modules_own_layers_are_no_convolutions_of_the_network():
    with torch.device("meta"):
        layer = gmconv_zoo.DGMConv2d(3, 4, 3)
    assert [row.name for row in gmconv_zoo.conversion_report(layer)] == [""]
