"""Run a command so that a user's mistake, a missing extra and Ctrl-C are each answered with one line."""

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["CommandParser", "one_line_errors", "run"]

_INTERRUPTED = 130  # what a shell gives for a command that Ctrl-C ended


class CommandParser(argparse.ArgumentParser):
    """Parser that answers a wrong option with one line and the way to the help, not with a list of all options."""

    def error(self, message: str) -> NoReturn:
        """End the program with exit status 2, as argparse does."""
        self.exit(2, f"{self.prog}: {message}. {self.prog} --help shows what is allowed.\n")


@contextmanager
def one_line_errors(name: str) -> Iterator[None]:
    """Wrap what a command does, and end the program with one line for an error that has a message for the user."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"\n{name}: {interrupt or 'interrupted.'}\n")
        raise SystemExit(_INTERRUPTED) from None
    except BrokenPipeError:  # whoever reads the output, e.g. head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest at its end
        raise SystemExit(1) from None
    except MemoryError as error:
        sys.exit(f"{name}: there is not enough memory ({error}). Pass a smaller --batch-size or smaller images.")
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{name}: {error}")


def run(
    name: str,
    description: str | None,
    add_options: Callable[[argparse.ArgumentParser], None],
    main: Callable[[argparse.Namespace], int | None],
    arguments: Sequence[str] | None = None,
) -> None:
    """Parse a command's options, run it, and end the program with its exit status, or with one line for an error.

    Names of files and classes are printed whatever they consist of: what the terminal's encoding does not have is
    shown as an escape.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    with one_line_errors(name):
        formatter = argparse.RawDescriptionHelpFormatter
        parser = CommandParser(prog=name, description=description, formatter_class=formatter)
        add_options(parser)
        status = main(parser.parse_args(arguments))
        sys.stdout.flush()
        if status is not None:
            sys.exit(status)
