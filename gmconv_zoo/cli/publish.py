"""Publish a folder that gmconv_zoo.save wrote on the Hugging Face Hub, and print its row for weights/specs.py.

The folder is loaded and compared first. The accuracy is that of results.json, unless you pass it here. A detector is
published in the same way, with the average precision of its results.json. Pushing needs a token that may write, in
HF_TOKEN or from `hf auth login`. Repeat the command to continue it after an interruption.

Example:
    gmconv publish output/run --repo ORG/gmconv_cifar_resnet20.gm_cifar10 --dataset "CIFAR-10 test"
    gmconv publish output/run --repo ORG/NAME --no-metric --dry-run
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from .._version import __version__
from .common import adder


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("folder", metavar="FOLDER", help="folder with config.json, model.safetensors and results.json")
    add("--repo", required=True, metavar="ORG/NAME", help='repository on the Hub, best named "<model>.<tag>"')
    add("--tag", default=f"v{__version__}", help="version of the publication")
    add("--force", action="store_true", help="replace a tag that exists with other files")
    add("--private", action="store_true", help="make a new repository private")
    add("--fused", action="store_true", help="fold the static masks into the kernels, which gives timm's plain network")
    add("--dry-run", action="store_true", help="write the exact folder to --output and push nothing")
    add("--output", metavar="FOLDER", type=Path, help="folder of --dry-run (default: output/publish/NAME)")
    add("--overwrite", action="store_true", help="replace the folder of an earlier --dry-run")
    add("--licence", default="", help="licence (default: that of the network's configuration)")
    add("--source", default="", help="what the weights are derived from, in words (default: not recorded)")
    add("--dataset", default="", help='what was measured, e.g. "CIFAR-10 test" (default: as results.json says)')
    add("--top1", type=float, help="measured top-1 accuracy in percent (default: that of results.json)")
    add("--top5", type=float, help="measured top-5 accuracy in percent (default: that of results.json)")
    add("--origin", default="", help="how and where --top1 was measured (default: that of results.json)")
    add("--no-metric", action="store_true", help='publish without an accuracy; the card says "not measured"')


def main(args: argparse.Namespace) -> None:
    from ..hub.measured import choose_measured
    from ..hub.publish import check_tag, publish, spec_row
    from ..hub.stage import stage
    from ..saving.detectors import holds_detector

    check_tag(args.tag)
    output = args.output or Path("output/publish", args.repo.rpartition("/")[2])
    score = {"top1": args.top1, "top5": args.top5, "origin": args.origin, "absent": args.no_metric}
    described = {"licence": args.licence, "source": args.source, "fused": args.fused, "overwrite": args.overwrite}
    with TemporaryDirectory() as scratch:
        measured = choose_measured(args.folder, dataset=args.dataset, **score)
        staged = stage(
            args.folder, output if args.dry_run else scratch, repo_id=args.repo, measured=measured, **described
        )
        if args.dry_run:
            print(f"{output} holds what would be published as {args.repo}, tag {args.tag}.")
            return
        spec = publish(staged, tag=args.tag, force=args.force, private=args.private)
    print(f"Published {args.repo}, tag {args.tag}, commit {spec.revision}: every file was read back and is the same.")
    if holds_detector(args.folder):
        print(f"Use it: gmconv detect {args.repo} IMAGES")
    elif args.fused:
        print(f'It loads without gmconv_zoo: timm.create_model("hf-hub:{args.repo}", pretrained=True)')
    elif staged.no_tag:
        print(f"No row for gmconv_zoo/weights/specs.py: {staged.no_tag}")
    else:
        print(f"Row for gmconv_zoo/weights/specs.py:\n{spec_row(spec)}")
