"""Export a network as ONNX, TorchScript or a torch.export program, checked against the network itself.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. The batch is
dynamic, static masks are folded in, and labels and preprocessing are embedded. ONNX needs: pip install ".[export]"

Example:
    python scripts/export.py sgmconv_resnet18.from_tv_in1k --format onnx
    python scripts/export.py output/my_model --format exported --dynamic-size --output output/my_model.pt2
"""

import logging
from pathlib import Path

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.export.export import FORMATS, export
    from gmconv_zoo.saving.named import open_model
    from gmconv_zoo.saving.targets import check_target


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--format", choices=FORMATS, default="onnx", help="default: %(default)s")
    parser.add_argument("--output", metavar="FILE", help="default: output/MODEL with the format's ending")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that --output names")
    parser.add_argument("--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="default: the network's")
    parser.add_argument("--dynamic-size", action="store_true", help="leave height and width open too")
    parser.add_argument("--no-fuse", action="store_true", help="keep static masks in the graph")
    parser.add_argument("--opset", type=int, help="ONNX operator set; default: torch's choice")
    parser.add_argument("--no-pretrained", action="store_true", help="initial weights, to try a route")
    args = parser.parse_args()
    logging.getLogger("gmconv_zoo").setLevel(logging.ERROR)
    name = Path(args.model.removeprefix("hf-hub:").removeprefix("local-dir:")).name
    output = Path(args.output or Path("output", f"{name}{FORMATS[args.format]}"))
    check_target(output, overwrite=args.overwrite)
    written = export(
        open_model(args.model, pretrained=not args.no_pretrained),
        output,
        format=args.format,
        image_size=tuple(args.image_size) if args.image_size else None,
        dynamic_size=args.dynamic_size,
        fuse=not args.no_fuse,
        opset=args.opset,
    )
    size, batches = written.path.stat().st_size / 2**20, ", ".join(map(str, written.batches))
    print(f"{written.path}: {size:.1f} MiB, {written.format}, masks left in the graph: {written.described['masks']}")
    print(f"largest difference from the network over batches of {batches}: {written.difference:.2g}")
    return 0


if __name__ == "__main__":
    run(main)
