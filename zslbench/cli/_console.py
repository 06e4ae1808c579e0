"""What the verbs share: the console, progress bars and tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click


def progress_bar() -> Any:
    """Return a rich progress display on a terminal; elsewhere one that prints a plain line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str]) -> None:
    """Print a plain table."""
    from tabulate import tabulate

    click.echo(tabulate(list(rows), headers=headers, tablefmt="simple", disable_numparse=True))
