"""What the verbs share: the console, progress bars and tables."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

_SECONDS_BETWEEN_LINES = 10.0


def progress_bar() -> Any:
    """Return a rich progress display; it shows nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


@contextlib.contextmanager
def progress(task: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with (done, total): a bar on a terminal, a plain line now and then elsewhere."""
    last = time.monotonic()
    with progress_bar() as bar:
        row = bar.add_task(task, total=None)

        def show(done: int, total: int) -> None:
            nonlocal last
            bar.update(row, completed=done, total=total)
            if bar.disable and time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                click.echo(f"{task}: {done:,} of {total:,} {unit}", err=True)

        yield show


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str]) -> None:
    """Print a plain table."""
    from tabulate import tabulate

    click.echo(tabulate(list(rows), headers=headers, tablefmt="simple", disable_numparse=True))
