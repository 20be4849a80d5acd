"""Run `gmconv detect-train`; torchrun and accelerate launch start a script, not a command."""

from gmconv_zoo.cli import main

if __name__ == "__main__":
    main("detect-train")
