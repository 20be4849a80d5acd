"""No command writes over an input, a network or other people's files, and all of them look before they work."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import timm

import gmconv_zoo
from gmconv_zoo.saving.targets import check_target


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def network(tmp_path):
    return gmconv_zoo.save(timm.create_model("sgmconv_cifar_resnet20"), tmp_path / "network")


@pytest.fixture
def refusal(monkeypatch, gmconv):
    """What a command exits with; its model and data do not exist, so that any work would be named instead."""

    def run(name: str, *args: object) -> str:
        if not name.startswith("reproduce."):
            return str(gmconv(name, *args)[0])
        monkeypatch.setattr(sys, "argv", [name, *map(str, args)])
        with pytest.raises(SystemExit) as exit_:
            runpy.run_module(name, run_name="__main__")
        return str(exit_.value.code)

    return run


COMMANDS = {  # those that write a folder, with inputs that do not exist
    "train": ("no_model", "no_data", "--output"),
    "finetune": ("no_data", "--model", "no_model", "--output"),
    "validate": ("no_data", "--model", "no_model", "--output"),
    "demo": ("--model", "gmconv_no_model", "--output"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_with_a_network_or_other_files_is_refused_before_any_work(command, network, tmp_path, refusal):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "thesis.tex").write_text("mine")
    before = contents(tmp_path)
    assert "holds a network (config.json): choose another one, or pass overwrite (--overwrite)" in refusal(
        command, *COMMANDS[command], network
    )
    assert "holds thesis.tex, which this command does not write" in refusal(command, *COMMANDS[command], notes)
    assert re.search("no[_/]", refusal(command, *COMMANDS[command], network, "--overwrite"))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("export", ("no_model", "--output")),
        ("report", ("no_model", "--output")),
        ("predict", ("no_model", __file__, "--csv")),
        ("predict", ("no_model", __file__, "--json")),
        ("reproduce.diagram", ("--output",)),
        ("reproduce.benchmark", ("--plan", "stem", "--output")),
        ("reproduce.benchmark", ("--scaling",)),
    ],
)
def test_a_file_that_exists_is_refused_before_any_work(command, arguments, tmp_path, refusal):
    (tmp_path / "mine.png").write_text("mine")
    said = refusal(command, *arguments, tmp_path / "mine.png")
    assert "mine.png exists: choose another one, or pass overwrite (--overwrite)" in said
    assert f"{arguments[-1]} {tmp_path}" in said
    assert (tmp_path / "mine.png").read_text() == "mine"


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink"])
def test_an_input_is_refused_by_any_of_its_names(tmp_path, link):
    image = tmp_path / "image.jpg"
    image.write_text("pixels")
    target = image if link == "same" else tmp_path / "predictions.csv"
    if link == "symlink":
        target.symlink_to(image)
    elif link == "hardlink":
        target.hardlink_to(image)
    with pytest.raises(ValueError, match=r"--csv .* is one of the inputs"):
        check_target(target, "--csv", inputs=[tmp_path / "missing", image], overwrite=True)


def test_file_for_folder_and_folder_for_file_and_a_place_without_permission_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for target, writes, message in (
        (tmp_path / "file", ("a",), "is a file: pass a folder"),
        (tmp_path, None, "is a folder: pass a file"),
        (tmp_path / "file" / "new" / "out", ("a",), "cannot be written: .*file is a file, not a folder"),
    ):
        with pytest.raises(ValueError, match=message):
            check_target(target, writes=writes, overwrite=True)
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write anywhere
    with pytest.raises(ValueError, match="you have no permission to write"):
        check_target(tmp_path / "new" / "out", writes=("a",))


def test_new_places_own_leftovers_hidden_files_and_devices_are_fine(tmp_path):
    (tmp_path / ".gitkeep").write_text("")
    (tmp_path / "summary.csv.part").write_text("")
    (tmp_path / "results.json").write_text("{}")
    check_target(tmp_path, writes=("summary.csv", "results.json"))
    check_target(tmp_path / "new" / "file.csv")
    check_target("/dev/null")
    assert not (tmp_path / "new").exists()
