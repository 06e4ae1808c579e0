"""Files that verbs write where an option says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click

from zslbench.errors import ZslbenchError

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
def writing(option: str, path: Path) -> Iterator[None]:
    """Say what was written, or where it could not be.

    Raises
    ------
    ZslbenchError
        The body raises an OSError.
    """
    try:
        yield
    except OSError as error:
        raise ZslbenchError(f"cannot write {path} ({error.strerror}); choose another place with {option}.") from error
    click.echo(f"written to {path}", err=True)
