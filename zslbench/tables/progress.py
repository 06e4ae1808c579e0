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
from zslbench.tables.widths import wrapped

_SECONDS_BETWEEN_LINES = 10.0
_BAR = 20  # characters of a bar
_SHORTEST = 12  # characters of a name that is shortened
_SECONDS_OF_SPEED = 600.0  # of work that the time left is estimated from: a video of a large network takes minutes


def tell(line: str, bars: Any = None) -> None:
    """Print a line to stderr: above the bars, if there are any."""
    if bars:
        bars.console.print(wrapped(visible(line)), highlight=False, markup=False, emoji=False)
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


def progress_bar(*, console: Any = None, **options: Any) -> Any:
    """Return a rich progress display on stderr, or on another console.

    In a narrow terminal the description of a task is shortened, never the bar, the count and the time left. The field
    ``rest`` of a task follows its description, which is shortened first.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TimeRemainingColumn
    from rich.table import Column

    class Description(ProgressColumn):
        def render(self, task: Any) -> _Described:
            return _Described(task.description, task.fields.get("rest", ""))

    # stdout is left to tables, which may go into a pipe or a file.
    console = console or Console(stderr=True)
    columns = (
        Description(Column()),
        BarColumn(_BAR if console.width >= 4 * _BAR else _BAR // 2, table_column=Column(no_wrap=True)),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )
    return Progress(*columns, console=console, speed_estimate_period=_SECONDS_OF_SPEED, **options)


class _Described:
    """The name of a task and what follows it, in one line of the width that there is."""

    def __init__(self, name: str, rest: str) -> None:
        self._name, self._rest = name, rest

    def __rich_measure__(self, console: Any, options: Any) -> Any:
        from rich.cells import cell_len
        from rich.measure import Measurement

        whole = cell_len(self._name + self._rest)
        return Measurement(min(whole, _SHORTEST), whole)

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.cells import cell_len, set_cell_size
        from rich.text import Text

        name, rest, width = self._name, self._rest, options.max_width
        if cell_len(name + rest) > width:
            head = max(width - cell_len(rest) - 1, min(_SHORTEST, width - 1))
            name = f"{set_cell_size(name, head)}…" if cell_len(name) > head else name
            room = width - cell_len(name)  # of a rest that is too long, the end says how far the work is
            rest = rest if cell_len(rest) <= room else rest[len(rest) - room :]
        # Names come from data, so they are no markup.
        text = Text(name + rest, no_wrap=True)
        text.truncate(width)
        yield text


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
