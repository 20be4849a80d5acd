import pytest

from gmconv_zoo.data.statistics import dataset_statistics


@pytest.mark.parametrize("data", ["torch/cifar100", "data/cifar100", "data/CIFAR-100"])
def test_cifar100_has_its_own_statistics(data):
    found = dataset_statistics(data)
    assert found["mean"] == [0.5071, 0.4865, 0.4409]
    assert found["std"] == [0.2673, 0.2564, 0.2762]


@pytest.mark.parametrize("data", ["torch/cifar10", "photos", "cifar1000"])
def test_other_datasets_keep_the_networks(data):
    assert dataset_statistics(data) == {}
