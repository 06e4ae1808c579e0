"""Write the files that options such as ``--out`` name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from zslbench.errors import ZslbenchError
from zslbench.files import new_file

PICTURES = (".png", ".svg", ".pdf")
FILE = click.Path(dir_okay=False, path_type=Path)  # that is written


def check_suffix(option: str, path: Path | None, allowed: tuple[str, ...]) -> None:
    """Refuse a file name whose suffix cannot be written, before any work is done.

    Raises
    ------
    ZslbenchError
        The suffix is not in ``allowed``.
    """
    if path and path.suffix.lower() not in allowed:
        raise ZslbenchError(f"{option} {path} must end in {' or '.join(allowed)}; change its suffix.")


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[Path]:
    """Yield the path to write the file of an option to, then print where it was written.

    The file appears whole or not at all, as :func:`zslbench.files.new_file` makes it.

    Raises
    ------
    ZslbenchError
        It cannot be written.
    """
    with new_file(path, option=option) as work:
        yield work
    click.echo(f"written to {path}", err=True)
