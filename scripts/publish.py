"""Publish a folder that gmconv_zoo.save wrote on the Hugging Face Hub, and print its row for weights/specs.py.

The folder is loaded and compared first; the accuracy is read from its results.json or given here. Pushing needs a
token that may write, in HF_TOKEN or from `hf auth login`. An interrupted call is resumed by repeating it.

Example:
    python scripts/publish.py output/run --repo ORG/gmconv_cifar_resnet20.gm_cifar10 --dataset "CIFAR-10 test"
    python scripts/publish.py output/run --repo ORG/NAME --no-metric --dry-run
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import gmconv_zoo  # noqa: F401  registers the models
from gmconv_zoo.hub.measured import choose_measured
from gmconv_zoo.hub.publish import DEFAULT_TAG, publish, spec_row
from gmconv_zoo.hub.stage import stage


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="with config.json, model.safetensors and results.json")
    parser.add_argument("--repo", required=True, metavar="ORG/NAME", help='best named "<model>.<tag>"')
    parser.add_argument("--tag", default=DEFAULT_TAG, help="version of the publication (%(default)s)")
    parser.add_argument("--force", action="store_true", help="replace a tag that exists with other files")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--fused", action="store_true", help="fold static masks in: timm's plain network")
    parser.add_argument("--dry-run", action="store_true", help="write the exact folder to --out and push nothing")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="of --dry-run (output/publish/NAME)")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier --dry-run's folder")
    parser.add_argument("--licence", default="", help="that of the network's configuration by default")
    parser.add_argument("--source", default="", help="what the weights are derived from, in words (as recorded)")
    parser.add_argument("--dataset", default="", help='what was measured, e.g. "CIFAR-10 test"')
    parser.add_argument("--top1", type=float, help="measured top-1 accuracy in percent, without results.json")
    parser.add_argument("--top5", type=float, help="measured top-5 accuracy in percent")
    parser.add_argument("--origin", default="", help="how and where --top1 was measured")
    parser.add_argument("--no-metric", action="store_true", help='the card says "not measured"')
    args = parser.parse_args()
    args.out = args.out or Path("output/publish", args.repo.rpartition("/")[2])
    return args


def main() -> None:
    args = parse_args()
    score = {"top1": args.top1, "top5": args.top5, "origin": args.origin, "absent": args.no_metric}
    described = {"licence": args.licence, "source": args.source, "fused": args.fused, "overwrite": args.overwrite}
    try:
        with TemporaryDirectory() as scratch:
            measured = choose_measured(args.folder, dataset=args.dataset, **score)
            out = args.out if args.dry_run else scratch
            staged = stage(args.folder, out, repo_id=args.repo, measured=measured, **described)
            if args.dry_run:
                print(f"{args.out} holds what would be published as {args.repo}, tag {args.tag}.")
                return
            spec = publish(staged, tag=args.tag, force=args.force, private=args.private)
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"publish.py: {error}")
    print(f"Published {args.repo}, tag {args.tag}, commit {spec.revision}: every file was read back and is the same.")
    if args.fused:
        print(f'It loads without gmconv_zoo: timm.create_model("hf-hub:{args.repo}", pretrained=True)')
    elif staged.no_tag:
        print(f"No row for gmconv_zoo/weights/specs.py: {staged.no_tag}")
    else:
        print(f"Row for gmconv_zoo/weights/specs.py:\n{spec_row(spec)}")


if __name__ == "__main__":
    main()
