"""A film of a training's masks has a frame for every epoch, and the sigmas of the log next to it."""

import csv
import itertools

import numpy as np
import pytest
import timm
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

import gmconv_zoo
from gmconv_zoo.cli import draw
from gmconv_zoo.cli.command import run as run_command
from gmconv_zoo.files.records import read_rows
from gmconv_zoo.layers import elliptical_mask
from gmconv_zoo.visualize.film import draw_film


def save_run(folder, epochs: int = 3, model: str = "gmconv_cifar_resnet20"):
    """A saved network, and a log in which the stem's mask narrows and every other one widens."""
    net = timm.create_model(model, layers=(1, 1, 1))
    gmconv_zoo.save(net, folder)
    static = [f"sigma/{name}" for name in gmconv_zoo.sigmas(net)]
    with (folder / "summary.csv").open("w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["epoch", "train_loss", *static, "sigma/conv1.horizontal", "sigma/conv1.vertical"])
        for epoch in range(1, epochs + 1):
            log.writerow([epoch, 1.0, *[2.0 + epoch] * len(static), 2.0 / epoch, 1.0 / epoch])
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_run(tmp_path_factory.mktemp("film") / "run")


def frames_of(path) -> list[np.ndarray]:
    with Image.open(path) as film:
        frames = []
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    return frames


def test_film_has_a_frame_for_every_epoch_and_the_numbers_next_to_it(folder, tmp_path):
    for ending in ("gif", "webp"):
        film = tmp_path / "films" / f"masks.{ending}"
        run_command("gmconv draw", "", draw.add_options, draw.main, [str(folder), "--film", str(film)])
        frames = frames_of(film)
        assert len(frames) == 3
        assert all(np.abs(one - other).max() > 100 for one, other in itertools.pairwise(frames))
    with Image.open(tmp_path / "films" / "masks.gif") as image:
        assert image.info["duration"] == 250
        image.seek(2)
        assert image.info["duration"] == 2500
    rows = read_rows(tmp_path / "films" / "masks.csv")
    assert len(rows) == 3 * 7
    stem, body = [row for row in rows if row["epoch"] == "2"][:2]
    assert (stem["layer"], float(stem["horizontal"]), float(stem["vertical"])) == ("conv1", 1.0, 0.5)
    assert (body["layer"], body["stage"], float(body["vertical"])) == ("layer1.0.conv1", "stage 1", 4.0)


def test_a_frame_shows_the_masks_and_sigmas_of_its_epoch(folder, tmp_path, monkeypatch):
    drawn, draw_canvas = [], FigureCanvasAgg.draw

    def remember(canvas):
        stem, *_, below = canvas.figure.axes
        sigmas = [line.get_ydata()[0] for line in below.lines[1:]]
        drawn.append((canvas.figure.get_suptitle(), torch.tensor(stem.images[0].get_array()), sigmas))
        draw_canvas(canvas)

    monkeypatch.setattr(FigureCanvasAgg, "draw", remember)
    draw_film(folder, tmp_path / "masks.gif")
    for epoch, (heading, mask, sigmas) in enumerate(drawn[-3:], start=1):
        assert heading.startswith(f"Masks after epoch {epoch} of 3")
        assert sigmas == [2.0 / epoch, 1.0 / epoch]  # horizontal and vertical
        torch.testing.assert_close(mask, elliptical_mask(*torch.tensor([[2.0 / epoch], [1.0 / epoch]]), (3, 3))[0])


def test_other_endings_are_refused_and_a_film_is_replaced_only_when_told_to(folder, tmp_path):
    for name in ("masks.png", "masks", "masks.mp4"):
        with pytest.raises(ValueError, match=r"--film .*ends in \.gif or \.webp"):
            draw_film(folder, tmp_path / name)
    film = tmp_path / "masks.gif"
    film.write_bytes(b"mine")
    with pytest.raises(ValueError, match="--overwrite"):
        draw_film(folder, film)
    assert film.read_bytes() == b"mine"
    assert len(frames_of(draw_film(folder, film, overwrite=True))) == 3


def test_folders_without_a_film_are_refused(tmp_path):
    target = tmp_path / "masks.gif"
    with pytest.raises(ValueError, match="not the folder of a training"):
        draw_film("gmconv_cifar_resnet20.gm_cifar10", target)
    with pytest.raises(ValueError, match="has 1 epoch: a film needs at least 2"):
        draw_film(save_run(tmp_path / "short", epochs=1), target)
    with pytest.raises(ValueError, match="has no masks"):
        draw_film(save_run(tmp_path / "plain", model="stdconv_cifar_resnet20"), target)
    broken = save_run(tmp_path / "broken")
    summary = (broken / "summary.csv").read_text()
    for harm in (summary.replace("sigma/layer2.0.conv1", "other"), summary.replace("4.0", "nan"), "epoch\n"):
        (broken / "summary.csv").write_text(harm)
        with pytest.raises(ValueError, match=r"not a complete log of sigmas|has 0 epochs"):
            draw_film(broken, target)
    assert not target.exists()
