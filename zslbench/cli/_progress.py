"""Show the progress of a run: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from zslbench.cells.cell import Cell, Result, State
from zslbench.cli._console import progress_bar
from zslbench.cli._output import echo
from zslbench.run.engine import Watcher
from zslbench.tables.text import visible

OnFinished = Callable[[Cell, Result], object]
_QUIET_SECONDS = 5.0  # between two plain lines about one cell
_LONGEST_LINE = 300  # characters of a failure's message


class RunWatcher(Watcher):
    """Show cells that start, progress and finish; call ``on_finished`` for each finished one.

    Parameters
    ----------
    total
        Number of cells to run.
    on_finished
        Function of the cell and its result, such as its projection into MLflow.
    """

    def __init__(self, total: int, on_finished: OnFinished = lambda cell, result: None) -> None:
        self.total = total
        self.results: list[tuple[Cell, Result]] = []
        self.others = 0  # of the results, those that another run has computed
        self._on_finished = on_finished
        self._titles: dict[str, str] = {}
        self._tasks: dict[str, Any] = {}
        self._said: dict[str, float] = {}
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> RunWatcher:
        if self._terminal:
            self._bars = progress_bar()
            self._bars.start()
            self._all = self._bars.add_task("cells", total=self.total)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._terminal:
            self._bars.stop()

    def started(self, cell: Cell) -> None:
        """Show a bar for the cell."""
        self._titles[cell.id] = visible(cell.title)
        self._said[cell.id] = time.monotonic()
        if self._terminal:
            self._tasks[cell.id] = self._bars.add_task(f"  {self._titles[cell.id]}", total=None)

    def progress(self, cell_id: str, done: float, total: float, what: str) -> None:
        """Move the bar, or print a line every few seconds."""
        if self._terminal:
            if cell_id in self._tasks:
                description = f"  {self._titles[cell_id]}: {visible(what)}"
                self._bars.update(self._tasks[cell_id], completed=done, total=total, description=description)
        # Without a terminal the output is a log: one line every few seconds is enough.
        elif time.monotonic() - self._said.get(cell_id, 0.0) > _QUIET_SECONDS:
            self._said[cell_id] = time.monotonic()
            echo(f"        {self._titles.get(cell_id, cell_id)}: {what} {done / max(total, 1e-9):.0%}", err=True)

    def noted(self, text: str) -> None:
        """Print a note."""
        self._print(f"note: {text}")

    def output(self, text: str) -> None:
        """Print a line of the method; of a bar that it draws, the last state."""
        self._print(text.rpartition("\r")[2] or text)

    def taken(self, cell: Cell, result: Result) -> None:
        """Print the figure of a cell that another run has computed."""
        self.others += 1
        self._store(cell, result, "computed by another run")

    def finished(self, cell: Cell, result: Result) -> None:
        """Print the cell's figure, or why it has none."""
        if self._terminal:
            self._bars.remove_task(self._tasks.pop(cell.id))
        self._store(cell, result, f"{result.finished - result.started:.1f} s")

    def _store(self, cell: Cell, result: Result, how: str) -> None:
        self.results.append((cell, result))
        place = f"[{len(self.results)}/{self.total}]"
        if result.state is State.DONE:
            names = ("H", "S", "U") if cell.protocol == "gzsl" else ("top1", "top1_per_class")
            figures = ", ".join(f"{name} {result.metrics[name]:.3f}" for name in names)
            line = f"{place} {cell.title}: {figures} (chance {result.metrics['chance']:.3f}), {how}"
        else:
            line = f"{place} {cell.title}: {result.state.value.upper()}, {how}: {_first_line(result)}"
        if self._terminal:
            self._bars.advance(self._all)
        self._print(line)
        self._on_finished(cell, result)

    def _print(self, line: str) -> None:
        say(line, self._bars if self._terminal else None)


def say(line: str, bars: Any = None) -> None:
    """Print a line to stderr: above the bars, if there are any."""
    if bars:
        bars.console.print(visible(line), highlight=False, markup=False, emoji=False)
    else:
        echo(line, err=True)


def _first_line(result: Result) -> str:
    if result.failure is None:
        return ""
    line = (result.failure.message.strip() or result.failure.type).splitlines()[0]
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."
