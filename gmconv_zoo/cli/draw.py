"""Draw the masks of a network, its sigmas by depth, the sizes of its kernels, and its effective receptive field.

MODEL is a timm name with pretrained weights, a folder that gmconv_zoo.save wrote, or a Hub repository. The masks of a
dynamic layer depend on the image: pass --images (files, folders or patterns), over which its sigmas are averaged.

With --film, MODEL is the folder of a training, and only the film of its masks over the epochs is drawn.

Example:
    gmconv draw sgmconv_cifar_resnet20.gm_cifar10
    gmconv draw output/finetune --images photos/*.jpg --output output/drawings
    gmconv draw gmconv_cifar_resnet20.gm_cifar10 --images photo.jpg --twin stdconv_cifar_resnet20.cifar10 --layer 1
    gmconv draw output/finetune --film output/masks.gif
"""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of drawing."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="name, folder or Hub repository")
    add("--images", metavar="IMAGES", nargs="+", default=(), help="images for masks of dynamic layers (default: none)")
    add("--output", metavar="FOLDER", default="output/drawings", help="folder of the pictures (default: %(default)s)")
    add("--twin", metavar="MODEL", help="network whose receptive field is drawn next to MODEL's (default: none)")
    add("--layer", help="layer or number of a stage of the receptive field (default: the last stage)")
    add("--film", metavar="FILE", help="GIF or WebP file of the masks by epoch (default: none)")
    add("--overwrite", action="store_true", help="replace files that exist")


def main(args: argparse.Namespace) -> None:
    """Draw as the options say."""
    from ..classify.predict import find_images
    from ..visualize.draw_model import draw_model
    from ..visualize.film import draw_film

    if args.film:
        print(draw_film(args.model, args.film, overwrite=args.overwrite))
        return
    images = find_images(args.images) or None
    layer = int(args.layer) if args.layer and args.layer.isdigit() else args.layer
    chosen = {"twin": args.twin, "layer": layer, "overwrite": args.overwrite}
    for path in draw_model(args.model, args.output, images, **chosen, progress=True):
        print(path)
