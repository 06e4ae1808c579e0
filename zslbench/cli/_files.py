"""Write the files that options such as ``--out`` name."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zslbench.cli._console import WrittenPath
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError
from zslbench.files import new_file
from zslbench.tables.writer import csv_text, without_nan

PICTURES = (".png", ".svg", ".pdf")
FILE = WrittenPath(dir_okay=False)


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
    echo(f"written to {path}", err=True)


def write_results(out: Path, rows: Iterable[Mapping[str, Any]], record: Mapping[str, Any]) -> None:
    """Write the file of ``--out``: the rows to .csv, or the whole record to .json."""
    csv = out.suffix.lower() == ".csv"
    text = csv_text(map(without_nan, rows)) if csv else json.dumps(record, indent=1, allow_nan=False)
    with writing("--out", out) as work:
        work.write_text(text + "\n", encoding="utf-8")
