"""Export a network as ONNX, TorchScript or a torch.export program, checked against the network itself.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. The batch is
dynamic, static masks are folded in, and labels and preprocessing are embedded. ONNX needs: pip install ".[export]"

Example:
    gmconv export sgmconv_resnet18.from_tv_in1k --format onnx
    gmconv export output/my_model --format exported --dynamic-size --output output/my_model.pt2
"""

import argparse
import logging
from pathlib import Path

from ..export.export import BATCHES, FORMATS, export
from .common import MODEL, WEIGHTS, adder


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("model", **MODEL)
    add("--weights", **WEIGHTS)
    add("--format", choices=FORMATS, default="onnx", help="format of the file")
    add("--output", metavar="FILE", help="file to write (default: output/MODEL with the ending of the format)")
    add("--overwrite", action="store_true", help="replace a file that --output names")
    add("--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="in pixels (default: the network's own)")
    add("--dynamic-size", action="store_true", help="allow other heights and widths too")
    add("--no-fuse", action="store_true", help="keep static masks in the graph")
    add("--opset", type=int, help="ONNX operator set (default: torch's choice)")
    add("--no-pretrained", action="store_true", help="export the initial weights, to see whether the format works")


def main(args: argparse.Namespace) -> None:
    from ..saving.named import open_model
    from ..saving.targets import check_target

    logging.getLogger("gmconv_zoo").setLevel(logging.ERROR)
    name = Path(args.model.removeprefix("hf-hub:").removeprefix("local-dir:")).name
    output = Path(args.output or Path("output", f"{name}{FORMATS[args.format]}"))
    check_target(output, overwrite=args.overwrite)
    model = open_model(args.model, pretrained=not args.no_pretrained, weights=args.weights)
    options = {name: getattr(args, name) for name in ("format", "image_size", "dynamic_size", "opset")}
    written = export(model, output, fuse=not args.no_fuse, **options)
    size, batches = written.path.stat().st_size / 2**20, ", ".join(map(str, BATCHES))
    masks = ", ".join(f"{count} {kind}" for kind, count in written.described["masks"].items())
    print(f"{written.path}: {size:.1f} MiB, {args.format}, masks left in the graph: {masks}")
    print(f"largest difference from the network over batches of {batches}: {written.difference:.2g}")
