"""Run `python -m gmconv_zoo`, which is the command `gmconv`."""

from .cli import main

if __name__ == "__main__":
    main()
