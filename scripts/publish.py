"""Publish a folder that gmconv_zoo.save wrote on the Hugging Face Hub, and print its row for weights/specs.py.

The folder is loaded and compared first; the accuracy is read from its results.json or given here. Pushing needs a
token that may write, in HF_TOKEN or from `hf auth login`. An interrupted call is resumed by repeating it.

Example:
    python scripts/publish.py output/run --repo ORG/gmconv_cifar_resnet20.gm_cifar10 --dataset "CIFAR-10 test"
    python scripts/publish.py output/run --repo ORG/NAME --no-metric --dry-run
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from gmconv_zoo.cli.command import make_parser, one_line_errors, run

with one_line_errors():
    from gmconv_zoo.hub.measured import choose_measured
    from gmconv_zoo.hub.publish import DEFAULT_TAG, publish, spec_row
    from gmconv_zoo.hub.stage import stage


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="with config.json, model.safetensors and results.json")
    add("--repo", required=True, metavar="ORG/NAME", help='best named "<model>.<tag>"')
    add("--tag", default=DEFAULT_TAG, help="version of the publication (default: %(default)s)")
    add("--force", action="store_true", help="replace a tag that exists with other files")
    add("--private", action="store_true", help="make a new repository private")
    add("--fused", action="store_true", help="fold static masks in: timm's plain network")
    add("--dry-run", action="store_true", help="write the exact folder to --out and push nothing")
    add("--out", metavar="FOLDER", type=Path, help="folder of --dry-run (default: output/publish/NAME)")
    add("--overwrite", action="store_true", help="replace the folder of an earlier --dry-run")
    add("--licence", default="", help="licence (default: that of the network's configuration)")
    add("--source", default="", help="what the weights are derived from, in words (default: not recorded)")
    add("--dataset", default="", help='what was measured, e.g. "CIFAR-10 test" (default: as results.json says)')
    add("--top1", type=float, help="measured top-1 accuracy in percent (default: that of results.json)")
    add("--top5", type=float, help="measured top-5 accuracy in percent (default: that of results.json)")
    add("--origin", default="", help="how and where --top1 was measured (default: that of results.json)")
    add("--no-metric", action="store_true", help='the card says "not measured"')
    args = parser.parse_args()
    args.out = args.out or Path("output/publish", args.repo.rpartition("/")[2])
    return args


def main() -> None:
    args = parse_args()
    score = {"top1": args.top1, "top5": args.top5, "origin": args.origin, "absent": args.no_metric}
    described = {"licence": args.licence, "source": args.source, "fused": args.fused, "overwrite": args.overwrite}
    with TemporaryDirectory() as scratch:
        measured = choose_measured(args.folder, dataset=args.dataset, **score)
        out = args.out if args.dry_run else scratch
        staged = stage(args.folder, out, repo_id=args.repo, measured=measured, **described)
        if args.dry_run:
            print(f"{args.out} holds what would be published as {args.repo}, tag {args.tag}.")
            return
        spec = publish(staged, tag=args.tag, force=args.force, private=args.private)
    print(f"Published {args.repo}, tag {args.tag}, commit {spec.revision}: every file was read back and is the same.")
    if args.fused:
        print(f'It loads without gmconv_zoo: timm.create_model("hf-hub:{args.repo}", pretrained=True)')
    elif staged.no_tag:
        print(f"No row for gmconv_zoo/weights/specs.py: {staged.no_tag}")
    else:
        print(f"Row for gmconv_zoo/weights/specs.py:\n{spec_row(spec)}")


if __name__ == "__main__":
    run(main)
