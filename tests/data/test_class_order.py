"""Classes of a dataset and outputs of a network that do not match by name in every class."""

from pathlib import Path

import pytest
import timm
from torch import nn

from gmconv_zoo.data.class_order import class_outputs
from gmconv_zoo.images.folder import LabelledFiles
from gmconv_zoo.images.image_source import ImageSource

WNIDS = timm.data.ImageNetInfo().label_names()


def network(names, count=0):
    net = nn.Identity()
    net.num_classes, net.pretrained_cfg = count or len(names), {"label_names": names}
    return net


def source(names, *, ordered=True, labels=()):
    return ImageSource("made", LabelledFiles((Path(),) * len(labels), labels, Path()), names, ordered=ordered)


def test_one_name_that_differs_is_refused_where_the_others_are_known():
    net = network(["cat", "dog", "bird", "fox"])
    assert class_outputs(source(["dog", "cat", "bird", "fox"]), net) == [1, 0, 2, 3]
    with pytest.raises(ValueError, match=r"1 of its 4 classes are unknown to the network, e\.g\. \['FOX'\].*--classes"):
        class_outputs(source(["dog", "cat", "bird", "FOX"]), net)
    with pytest.raises(ValueError, match=r"1 of its 1000 classes .*\['N01440764'\]"):
        class_outputs(source(["N01440764", *WNIDS[1:]]), network([], 1000))


@pytest.mark.parametrize(
    ("names", "count", "said"),
    [
        (["cat", "dog", "fish"], 3, "3 of its 3 classes are unknown to the network"),
        ([], 7, "has 3 classes, the network has 7 outputs"),
        ([], 0, "has no classifier"),
    ],
)
def test_classes_that_do_not_fit_are_refused(names, count, said):
    net = network(names)
    net.num_classes = count
    with pytest.raises(ValueError, match=said):
        class_outputs(source(["apple", "pear", "plum"], ordered=False), net)


def test_a_name_of_several_outputs_is_refused_only_where_a_class_has_it():
    net = network(["crane", "maillot", "crane"])
    assert class_outputs(source(["maillot"]), net) == [1]
    with pytest.raises(ValueError, match="several outputs of the network have the name crane"):
        class_outputs(source(["crane", "maillot"]), net)


def test_wordnet_ids_and_names_in_either_form_of_an_accent_are_matched():
    assert class_outputs(source([WNIDS[17], WNIDS[999]], ordered=False), network([], 1000)) == [17, 999]
    assert class_outputs(source(["caf\u00e9", "the\u0301"]), network(["th\u00e9", "cafe\u0301"])) == [1, 0]


def test_names_that_are_all_unknown_are_taken_in_their_order_with_a_warning(caplog):
    assert class_outputs(source(["Katze", "Hund"]), network(["cat", "dog"])) == [0, 1]
    assert "the network knows none of its classes, e.g. ['Katze', 'Hund'], but ['cat', 'dog']" in caplog.text
    caplog.clear()
    assert class_outputs(source(["Katze", "Hund"]), network([], 2)) == [0, 1]
    assert not caplog.text


def test_numbers_that_may_be_outputs_or_names_are_refused():
    for names in (["1", "2", "3", "10"], ["001", "002", "003", "010"]):
        with pytest.raises(ValueError, match=r"label 1 may be output 1 or the class that is output 0\. .*--classes"):
            class_outputs(source(None, labels=[1, 2]), network(names))
        assert class_outputs(source(None, labels=[0, 1]), network(names)) is None  # 0 is not a name
    assert class_outputs(source(None, labels=[1, 2]), network(["0", "1", "2", "cat"])) is None
