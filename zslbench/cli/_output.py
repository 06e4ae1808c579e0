"""Print what a command has to say; names and messages from data cannot control the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Mapping

import click

from zslbench.tables.text import visible
from zslbench.tables.widths import wrapped

PIPE_CLOSED = 141  # what shells report for a process that a closed pipe ended: 128 + SIGPIPE


class OutputError(Exception):
    """Standard output cannot be written: the pipe is closed, or the disk is full."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"the output cannot be written ({error.strerror or error}); free some space, or redirect it.")
        self.closed = isinstance(error, BrokenPipeError)


def echo(text: object = "", *, err: bool = False, colours: Mapping[str, str] | None = None) -> None:
    """Print a text, with escapes in place of control characters; line breaks and tabs are kept.

    Parameters
    ----------
    err
        Whether to print on stderr. If nobody can read it there, the work goes on without.
    colours
        Beginnings of lines, and one of click's colours for each, on terminals.

    Raises
    ------
    OutputError
        Stdout cannot be written.
    """
    shown = visible(str(text), lines=True)
    for head, colour in (colours or {}).items():
        shown = re.sub(f"(?m)^{re.escape(head)}", click.style(head, fg=colour, bold=True), shown)
    try:
        click.echo(shown, err=err)
    except OSError as error:
        if not err:
            raise OutputError(error) from error


def say(text: object = "", *, err: bool = False) -> None:
    """Print prose in lines that fit the terminal."""
    echo(wrapped(visible(str(text), lines=True)), err=err)


def prepare_streams() -> None:
    """Print escapes instead of failing where the terminal's encoding lacks a character."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # what the buffer had cannot be written
                stream.reconfigure(errors="backslashreplace")


def finish_output() -> None:
    """Write what is still in the buffer of stdout.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    if sys.stdout is not None and not sys.stdout.closed:  # None: the process was started without it
        try:
            sys.stdout.flush()
        except OSError as error:
            raise OutputError(error) from error


def release_streams() -> None:
    """Drop what no stream can write any more; Python would end with a message about it and exit code 120."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except OSError:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - until the end
        except (AttributeError, ValueError):  # None, or closed
            continue
