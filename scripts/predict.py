"""Run `gmconv predict`, also in a checkout."""

from gmconv_zoo.cli import main

if __name__ == "__main__":
    main("predict")
