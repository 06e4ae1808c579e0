"""Files that verbs write where an option says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from zslbench.errors import ZslbenchError
from zslbench.files import new_file

PICTURES = (".png", ".svg", ".pdf")


def check_suffix(option: str, path: Path | None, allowed: tuple[str, ...]) -> None:
    """Refuse a file whose name ends in nothing that can be written, before any work is done.

    Raises
    ------
    ZslbenchError
        It ends in none of ``allowed``.
    """
    if path and path.suffix.lower() not in allowed:
        raise ZslbenchError(f"{option} {path} is none of {', '.join(allowed)}; name it after one of them.")


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[Path]:
    """Yield where to write the file that an option names, then say that it was written.

    The file appears whole or not at all, as :func:`zslbench.files.new_file` makes it.

    Raises
    ------
    ZslbenchError
        It cannot be written.
    """
    with new_file(path, option=option) as work:
        yield work
    click.echo(f"written to {path}", err=True)
