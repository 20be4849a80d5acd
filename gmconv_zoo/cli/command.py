"""Run a command so that a user's mistake, a missing extra and Ctrl-C are each answered with one line."""

import argparse
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["make_parser", "one_line_errors", "run"]

_INTERRUPTED = 130  # what a shell gives for a command that Ctrl-C ended


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Wrap the imports of a command, which may miss an extra, and what it does.

    Raises:
        SystemExit: with the error's message after the command's name, in place of an error that has one for the user.
    """
    name = Path(sys.argv[0]).name
    try:
        yield
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"\n{name}: {interrupt or 'interrupted.'}\n")
        raise SystemExit(_INTERRUPTED) from None
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{name}: {error}")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of a command, whose ``--help`` begins with the script's docstring as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def run(main: Callable[[], int | None]) -> None:
    """Run a command and end the program with its exit status, or with one line for an error.

    Names of files and classes are printed whatever they consist of: what the terminal's encoding does not have is
    shown as an escape.

    Args:
        main: returns the exit status, or None where there is nothing to say.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    with one_line_errors():
        if (status := main()) is not None:
            sys.exit(status)
