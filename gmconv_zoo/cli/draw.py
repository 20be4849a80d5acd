"""Draw the masks of a network, one picture for each layer, with its sigma.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. The masks of a
dynamic layer depend on the image: pass --images (files, folders or patterns), over which its sigmas are averaged.

Example:
    gmconv draw sgmconv_cifar_resnet20.gm_cifar10
    gmconv draw output/finetune --images photos/*.jpg --output output/masks.pdf
"""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of drawing."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="name, folder or Hub repository")
    add("--images", metavar="IMAGES", nargs="+", default=(), help="for masks of dynamic layers (default: none)")
    add("--output", metavar="FILE", default="output/masks.png", help="picture to write (default: %(default)s)")
    add("--overwrite", action="store_true", help="replace a picture that exists")


def main(args: argparse.Namespace) -> None:
    """Draw as the options say."""
    from ..classify.predict import find_images, read_batch
    from ..saving.named import open_model
    from ..saving.targets import check_target
    from ..visualize.masks import draw_masks, layer_masks

    images = find_images(args.images)
    check_target(args.output, inputs=images, overwrite=args.overwrite)
    model = open_model(args.model)
    print(draw_masks(layer_masks(model, read_batch(model, images) if images else None), args.output))
