"""The parts that verbs share: the console, progress bars and tables."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from zslbench.cells.store import Unreadable

_SECONDS_BETWEEN_LINES = 10.0
_SHOWN = 5  # cells that cannot be read
RESULTS = click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results/runs"),
    envvar="ZSLBENCH_RESULTS",
    show_default=True,
    help="Folder of the results.",
)


def progress_bar() -> Any:
    """Return a rich progress display on stderr, for a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # stdout is left to tables, which may go into a pipe or a file.
    return Progress(*columns, console=Console(stderr=True))


@contextlib.contextmanager
def progress(task: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total): it moves a bar on a terminal, or prints a line every ten seconds."""
    if sys.stderr.isatty():
        with progress_bar() as bar:
            row = bar.add_task(task, total=None)
            yield lambda done, total: bar.update(row, completed=done, total=total)
        return
    last = time.monotonic()

    def say(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            click.echo(f"{task}: {done:,} of {total:,} {unit}", err=True)

    yield say


def tell_unreadable(cells: Sequence[Unreadable], then: str = "the command that made it runs it again") -> None:
    """Say which stored cells cannot be read, why, and what can be done."""
    if cells:
        shown = "; ".join(f"{cell.id}, {cell.reason}" for cell in cells[:_SHOWN])
        more = f"; and {len(cells) - _SHOWN:,} more" if len(cells) > _SHOWN else ""
        count = "1 cell" if len(cells) == 1 else f"{len(cells):,} cells"
        click.echo(f"{count} cannot be read: {shown}{more} ({then})", err=True)


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str]) -> None:
    """Print a plain table."""
    from zslbench.tables.writer import columns, table_text

    click.echo(table_text("console", columns(headers), rows))
