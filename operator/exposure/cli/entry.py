"""The process: arguments in, exit status out."""

import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from exposure.cli.command import DONE, UNUSABLE, UsageError
from exposure.cli.options import parse
from exposure.cli.terminal import warn

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; `argv` None: the process's own arguments."""
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        # Imported only now, because what one subcommand imports takes long, and the others need not wait for it.
        status: int = import_module(f"exposure.cli.{arguments.subcommand}").run(arguments)
        sys.stdout.flush()
        return status
    except UsageError as error:
        for line in str(error).splitlines():
            warn(line)
        return UNUSABLE
    except BrokenPipeError:
        # `… | head` has closed the pipe. Python would report it once more while it closes standard output.
        _discard_output()
        return DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        warn(f"The output cannot be written: {error.strerror}.")
        _discard_output()
        return UNUSABLE


def _discard_output() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
