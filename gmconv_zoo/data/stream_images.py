"""Images of a stream, one after another; one that cannot be read is named, where timm's readers pass over it."""

import io
import logging
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import SimpleQueue, Value
from typing import Any

from PIL import Image
from timm.data.readers.reader_wds import WdsTargetKeyError

from .pixels import UNREADABLE, UnreadableImageError, read_image, to_mode

__all__ = ["LostImages", "stream_images"]

_logger = logging.getLogger(__name__)

# So many names are kept; all are logged where they are met.
_KEPT = 20


class LostImages:
    """What could not be read, as loader processes tell the one that started them."""

    def __init__(self) -> None:
        self._count = Value("q", 0)
        self._messages: SimpleQueue[str] = SimpleQueue()
        self._names: list[str] = []

    def add(self, image: UnreadableImageError) -> None:
        """Log and count one more."""
        _logger.warning("cannot be read: %s", image)
        with self._count.get_lock():
            self._count.value += 1
            if self._count.value <= _KEPT:
                self._messages.put(str(image))

    @property
    def count(self) -> int:
        """How many there were, in all processes that have this object."""
        return self._count.value

    @property
    def names(self) -> list[str]:
        """Names and reasons of the first ones, for one process to ask for."""
        while not self._messages.empty():
            self._names.append(self._messages.get())
        return list(dict.fromkeys(self._names))


def stream_images(reader: Any, mode: str = "RGB") -> Iterator[tuple[Image.Image, int] | UnreadableImageError]:
    """One pass over what a reader has for this process.

    Args:
        reader: timm's of wds/ or hfids/, which decides on shards and order.
        mode: of Pillow, see `to_mode`.

    Returns:
        A pair of an image and its label for each image, or, for one that cannot be read or has no label, the error
        that names it. Of a shard that is cut off within an image an error or two stand for the rest; one that ends
        between two images cannot be told from a whole one.
    """
    if reader.ds is None:
        reader._lazy_init()
    return _webdataset(reader, mode) if hasattr(reader, "split_info") else _hugging_face(reader, mode)


def _webdataset(reader: Any, mode: str) -> Iterator[tuple[Image.Image, int] | UnreadableImageError]:
    """timm's stages, but for the last two, which decode and pass over errors."""
    from webdataset import DataPipeline

    lost: list[UnreadableImageError] = []

    def handle(error: Exception) -> bool:
        lost.append(UnreadableImageError(_described(error)))
        return True

    *stages, decoding, _ = reader.ds.pipeline
    # converting is left to us: Pillow's own conversion makes an image of 16 bits white
    decode = partial(decoding.args[0], image_mode="")
    for sample in DataPipeline(*(_handled(stage, handle) for stage in stages)):
        yield from lost
        lost.clear()
        try:
            decoded = decode(sample)
            pair = None if decoded is None else (to_mode(decoded["jpg"], mode), int(decoded["target"]))
        except WdsTargetKeyError:  # no image's fault
            raise
        except KeyError as error:
            yield UnreadableImageError(
                f"{sample['__url__']}, image {sample['__key__']} (has no .{error.args[0]} beside it)"
            )
        except UNREADABLE as error:
            yield UnreadableImageError(f"{sample['__url__']}, image {sample['__key__']} ({_described(error)})")
        else:
            yield from [] if pair is None else [pair]
    yield from lost


def _handled(stage: Any, handle: Callable[[Exception], bool]) -> Any:
    """One of webdataset's stages, with another handler of errors where it takes one."""
    if "handler" not in getattr(stage, "kw", {}):
        return stage
    return type(stage)(stage.f, *stage.args, **{**stage.kw, "handler": handle})


def _hugging_face(reader: Any, mode: str) -> Iterator[tuple[Image.Image, int] | UnreadableImageError]:
    from datasets import DownloadConfig
    from datasets import Image as ImageFeature
    from datasets.utils.file_utils import xopen

    access = DownloadConfig(token=getattr(reader.builder, "token", None))
    samples = reader.ds.cast_column(reader.input_key, ImageFeature(decode=False))
    samples.set_epoch(reader.epoch.value)
    for place, sample in enumerate(samples):
        stored, label = sample[reader.input_key] or {}, sample[reader.target_key]
        path, content = stored.get("path"), stored.get("bytes")
        name = path or f"image {place} of the shards read by process {reader.global_worker_id}"
        try:
            if not (path or content):
                raise ValueError("there is no image")
            # a path may be an address, or lie in an archive
            with io.BytesIO(content) if content else xopen(path, "rb", download_config=access) as file:
                image = read_image(file, mode)
        except UNREADABLE as error:
            yield UnreadableImageError(f"{reader.name}, {name} ({_described(error)})")
        else:
            yield image, int(label)


def _described(error: BaseException) -> str:
    """A message in one line; webdataset adds the place to an error's arguments."""
    if isinstance(error, UnreadableImageError) and error.__cause__ is not None:
        error = error.__cause__
    told = [" ".join(str(part).split()) for part in error.args if isinstance(part, (str, int))]
    return f"{type(error).__name__}: {', '.join(told)}" if told else type(error).__name__
