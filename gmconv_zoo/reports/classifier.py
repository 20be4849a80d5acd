"""A report about a classifier in one HTML file: what it is, its masks, and how well and fast it works."""

import os
import statistics
import timeit
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..classify.evaluate import Answers
from ..classify.networks import find_checkpoints, open_checkpoint
from ..conversion import fuse, has_masks
from ..data.eval_data import open_eval_data
from ..data.eval_images import EvalImages, EvalStream
from ..device import usable_device
from ..engine.evaluate import evaluate
from ..files.records import environment, read_results
from ..images.data_config import data_config
from ..layers import SGMConv2d
from ..models._names import net_of, plain_name
from ..saving import CONFIG_NAME
from ..saving.detectors import refuse_detector
from ..saving.label_names import label_names
from ..saving.named import check_model_name, is_timm_name, open_model
from ..saving.targets import check_target
from ..validation.validate import eval_images, split_caution
from ..visualize.curves import draw_curves
from ..visualize.images import evenly
from ..weights.specs import SPECS, specs_of
from ..wording import distinct
from .answers import AnswerSections
from .page import Section, write_page
from .sections import FIELD_IMAGES, SIGMA_IMAGES, curve_section, field_section, mask_sections, network_section

__all__ = ["report"]

# Batch sizes, and forward passes of each whose median is a speed; the first one is not counted.
_BATCHES, _PASSES, _FIRST = (1, 8), 7, 1
_SEEN = ("Effective receptive fields", "Accuracy", "Confusion", "Worst mistakes")


def report(
    model: str,
    data: str | Path | None = None,
    *,
    output: str | Path = "output/report.html",
    data_dir: str | Path | None = None,
    split: str = "validation",
    labels: str | Path | None = None,
    twin: str | None = None,
    mistakes: int = 12,
    batch_size: int = 64,
    workers: int = 0,
    skip_bad: bool = False,
    device: str = "cpu",
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write a report about a classifier into one HTML file, which opens without a connection.

    Args:
        model: a name that timm knows, a folder that `gmconv_zoo.save` wrote, the folder of a training, whose curves
            are added, a checkpoint, or a Hub repository.
        data: validation images as `open_eval_data` takes them, not a stream; None for a report without receptive
            fields and accuracy.
        output: the file.
        data_dir: folder in which a named dataset is stored.
        split: name of the split.
        labels: file with the labels of a flat folder.
        twin: name of a network whose receptive fields are drawn next to those of the model; None for its standard
            twin where weights of it come with the package.
        mistakes: number of the worst mistakes that are shown as pictures; 0 for none.
        batch_size: images per forward pass.
        workers: loader processes.
        skip_bad: leave out images that cannot be read.
        device: where images are classified and speed is measured, e.g. "cuda".
        overwrite: whether an existing file may be replaced.
        progress: whether to show progress bars.

    Returns:
        The file.

    Raises:
        ValueError: when the file exists, or for a model, data or a setting that cannot be used.
        BadImagesError: when an image cannot be read.
    """
    if mistakes < 0:
        raise ValueError(f"mistakes={mistakes}: pass at least 0.")
    if not isinstance(model, str):
        raise TypeError(f"model={type(model).__name__}(...): pass its name, or the folder that gmconv_zoo.save wrote.")
    chosen, place = usable_device(device), Path(model.removeprefix("local-dir:"))
    check_target(output, inputs=[place, *([] if data is None else [data])], overwrite=overwrite)
    if not place.exists():
        check_model_name(model)
    source = None if data is None else open_eval_data(data, root=data_dir, split=split, labels=labels)
    net = _open(model, place)
    refuse_detector(net)
    folder = place.parent.parent if place.is_file() else place
    name, record = place.resolve().name if place.exists() else model, read_results(folder)
    networks = {name: net}
    if twin := twin or _packaged_twin(net):
        networks[distinct(twin, networks)] = open_model(twin)
    needs_images = "This needs labelled images: pass validation data (--data)."
    about, sample, seen = _about(model, net, record), None, [Section(title, [needs_images]) for title in _SEEN]
    if source is not None:
        images = eval_images(source, net, data_config(net, use_test_size=True))
        if isinstance(images, EvalStream):
            raise ValueError(f"{data} is a stream, whose images have no names: pass a folder, torch/NAME or hfds/NAME.")
        about["Images"] = f"{len(source):,} of {_dataset(source.name, data)}"
        answers = Answers(images, skip_bad=skip_bad)
        loader = DataLoader(images, batch_size, num_workers=workers)
        evaluate(net.to(chosen), loader, answers, progress="classifying" if progress else "")
        if not answers.loss.isfinite().all():
            raise ValueError(f"{source.name}: the network's outputs are not finite; check its weights.")
        where = f"{source.name}/"  # a page is passed on, and has no path of the machine
        left_out = [said.removeprefix(where) for said in images.why_unreadable(answers.bad)]
        answered = AnswerSections(answers, label_names(net), source, left_out)
        sample = _sample(images, answers.index, SIGMA_IMAGES).to(next(net.cpu().parameters()))
        fields = field_section(networks, _sample(images, answers.index, FIELD_IMAGES), progress=progress)
        seen = [fields, answered.accuracy_section(), answered.confusion_section(), answered.mistake_section(mistakes)]
        seen[1].text += filter(None, [split_caution(folder)])
    columns = ("epoch", "train_loss", "val_top1_percent")
    curves = curve_section(
        folder,
        columns,
        draw_curves,
        "Training loss and validation accuracy over {} epochs; the highest accuracy is {:.1f} %.",
    )
    sections = [network_section(net, about), *mask_sections(net, sample), *seen, curves, _speed(net, chosen)]
    kind = "with" if has_masks(net) else "without"
    return write_page(output, name, f"A report about a network {kind} Gaussian masks.", sections)


def _open(model: str, place: Path) -> nn.Module:
    """The network of a name, a checkpoint or a folder, which may be that of a training that has not ended."""
    checkpoints = [place] if place.is_file() else []
    if place.is_dir() and not (place / CONFIG_NAME).is_file():
        checkpoints = find_checkpoints(place)
    return open_checkpoint(checkpoints[0]) if checkpoints else open_model(model)


def _about(model: str, net: nn.Module, record: dict[str, Any]) -> dict[str, str]:
    """Where a network comes from, in words."""
    config = getattr(net, "pretrained_cfg", None) or {}
    architecture = config.get("architecture") or type(net).__name__
    size = data_config(net, use_test_size=True)["input_size"]
    about = {"Architecture": architecture, "Image size": f"{size[2]} x {size[1]} pixels, {size[0]} channels"}
    spec = SPECS.get(f"{architecture}.{config.get('tag')}") if is_timm_name(model) else None
    if spec is not None:
        about["Weights"] = ", ".join(filter(None, (spec.source, spec.recipe)))
        about["Licence of the weights"] = spec.licence
    elif "score" in record:
        start, score = str(record.get("start") or ""), record["score"]
        if os.path.exists(start) or os.path.isabs(start):
            start = Path(start).name
        began = f", started from {start}" if start else ""
        about["Weights"] = f"trained on {record.get('training_images', 'unknown')} images{began}"
        recorded = f"{score['top1_percent']:.1f} % ({score['top1']:,} of {score['count']:,})"
        about["Recorded accuracy"] = f"{recorded} on {record.get('dataset')}"
    return about


def _packaged_twin(net: nn.Module) -> str | None:
    """The name of the standard twin of a masked network where its weights come with the package."""
    channels, config = data_config(net)["input_size"][0], getattr(net, "pretrained_cfg", None) or {}
    twins = specs_of(plain_name(net_of(config.get("architecture", "")))) if has_masks(net) else []
    return next((spec.name for spec in twins if spec.packaged and spec.input_size[0] == channels), None)


def _dataset(name: str, data: str | Path | None) -> str:
    """What a dataset is called, without where it is on this machine: "photos/val"."""
    exists = data is not None and os.path.exists(data)
    return Path(data).resolve().name + name.removeprefix(str(Path(data))) if exists else name  # type: ignore[arg-type]


def _sample(images: EvalImages, readable: Tensor, most: int) -> Tensor:
    """At most so many images, evenly spread over those that can be read."""
    return torch.stack([images[index][0] for index in evenly(readable.tolist(), most)])


def _speed(net: nn.Module, device: torch.device) -> Section:
    """A rough measurement of a network and, where it has static masks, of its fused form on this machine."""
    machine, size = environment(), data_config(net, use_test_size=True)["input_size"]
    gpu = machine["gpu"] if device.type == "cuda" else None
    section = Section("Speed")
    section.text.append(
        f"The median of {_PASSES} forward passes without reading images, on {gpu or machine['processor']} "
        f"(threads: {machine['threads']}) with torch {machine['torch']}. It is a rough figure: other work changes it."
    )
    forms = {"as it is": net}
    if any(isinstance(module, SGMConv2d) for module in net.modules()):
        forms["fused"] = fuse(net)
        section.text.append("Fused: static masks are folded into the kernels, which gives the same outputs.")
    for form, network in forms.items():
        like = next(network.to(device).parameters())
        for batch in _BATCHES:
            images = torch.rand(batch, *size).to(like)
            taken = timeit.repeat(lambda: _forward(network, images), number=1, repeat=_FIRST + _PASSES)  # noqa: B023
            seconds = statistics.median(taken[_FIRST:])
            label = f"{form}, {batch} image{'s' if batch > 1 else ''} at once"
            section.facts[label] = f"{1000 * seconds:.1f} ms, {batch / seconds:,.0f} images per second"
    return section


@torch.inference_mode()
def _forward(net: nn.Module, images: Tensor) -> None:
    net(images)
    if images.is_cuda:
        torch.cuda.synchronize()
