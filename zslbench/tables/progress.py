"""Print lines and progress bars on stderr: bars on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from zslbench.tables.text import visible

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_OF_SPEED = 600.0  # of work that the time left is estimated from: a video of a large network takes minutes


def tell(line: str, bars: Any = None) -> None:
    """Print a line to stderr: above the bars, if there are any."""
    if bars:
        bars.console.print(visible(line), highlight=False, markup=False, emoji=False)
        return
    with contextlib.suppress(OSError, AttributeError, ValueError):  # nobody can read it there: the work goes on without
        sys.stderr.write(visible(line, lines=True) + "\n")
        sys.stderr.flush()


def draws_bars() -> bool:
    """Return whether stderr is a terminal or the output of a notebook that can draw bars."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    # Without a notebook there is nothing to ask; without ipywidgets, rich would draw nothing there.
    if "IPython" not in sys.modules or importlib.util.find_spec("ipywidgets") is None:
        return False
    from rich.console import Console

    return Console(stderr=True).is_jupyter


def progress_bar(**options: Any) -> Any:
    """Return a rich progress display on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # Descriptions contain names from data, so they are no markup.
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # stdout is left to tables, which may go into a pipe or a file.
    return Progress(*columns, console=Console(stderr=True), speed_estimate_period=_SECONDS_OF_SPEED, **options)


@contextlib.contextmanager
def progress(task: str, unit: str, *, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total): it moves a bar, or prints a line every ten seconds, or does nothing."""
    if not shown:
        yield lambda done, total: None
        return
    bars, said = draws_bars(), time.monotonic()
    with progress_bar(disable=not bars) as bar:
        row = bar.add_task(visible(task), total=None)

        def show(done: int, total: int) -> None:
            nonlocal said
            bar.update(row, completed=done, total=total)
            if not bars and time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                seconds = bar.tasks[0].time_remaining
                left = f", {timedelta(seconds=int(seconds))} left" if seconds else ""
                tell(f"{task}: {done:,} of {total:,} {unit}{left}")

        yield show
