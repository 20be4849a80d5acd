"""Draw the masks of a network, its sigmas by depth, the sizes of its kernels, and its effective receptive field.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. The masks of a
dynamic layer depend on the image: pass --images (files, folders or patterns), over which its sigmas are averaged.

With --film, MODEL is the folder of a training, and only the film of its masks over the epochs is drawn.

With --boxes, MODEL and --twin are detectors, and only their receptive fields at the centres of small, medium and large
boxes are drawn, to box_fields.png in the output folder. Without it, the backbone of a detector is drawn.

Example:
    gmconv draw sgmconv_cifar_resnet20.gm_cifar10
    gmconv draw output/finetune --images photos/*.jpg --output output/drawings
    gmconv draw gmconv_cifar_resnet20.gm_cifar10 --images photo.jpg --twin stdconv_cifar_resnet20.cifar10 --layer 1
    gmconv draw output/finetune --film output/masks.gif
    gmconv draw output/std --twin output/gmconv output/dcn output/gmconv_dcn --boxes coco
"""

import argparse
from pathlib import Path

from .common import MODEL, adder


def add_options(parser: argparse.ArgumentParser) -> None:
    add = adder(parser)
    add("model", **MODEL)
    add("--images", metavar="IMAGES", nargs="+", default=(), help="images for masks of dynamic layers (default: none)")
    add("--output", metavar="FOLDER", default="output/drawings", help="folder of the pictures")
    add("--twin", metavar="MODEL", nargs="+", default=(), help="networks to compare receptive fields (default: none)")
    add("--layer", help="layer or number of a stage of the receptive field (default: the last stage)")
    add("--film", metavar="FILE", help="GIF or WebP file of the masks by epoch (default: none)")
    add("--boxes", metavar="DATA", help="folder with annotations in COCO's format, split val (default: none)")
    add("--clip-boxes", action="store_true", help="accept boxes of --boxes that leave their image")
    add("--overwrite", action="store_true", help="replace files that exist")


def main(args: argparse.Namespace) -> None:
    from ..images.listing import find_images
    from ..visualize.draw_model import draw_model
    from ..visualize.film import draw_film

    if args.film and args.boxes:
        raise ValueError("--film and --boxes draw different files: pass one of them.")
    if args.film:
        print(draw_film(args.model, args.film, overwrite=args.overwrite))
        return
    if args.boxes:
        from ..detection.receptive_fields import draw_fields_at_boxes

        if args.images or args.layer:
            raise ValueError("--boxes names the images, and the level of each box: leave out --images and --layer.")
        path = Path(args.output, "box_fields.png")
        names = [args.model, *args.twin]
        print(
            draw_fields_at_boxes(names, args.boxes, path, clip=args.clip_boxes, overwrite=args.overwrite, progress=True)
        )
        return
    images = find_images(args.images) or None
    layer = int(args.layer) if args.layer and args.layer.isdigit() else args.layer
    chosen = {"twins": args.twin, "layer": layer, "overwrite": args.overwrite}
    for path in draw_model(args.model, args.output, images, **chosen, progress=True):
        print(path)
