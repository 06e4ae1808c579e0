"""Show the progress of a run: bars on a terminal and in a notebook, plain lines elsewhere, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from zslbench.cells.cell import Cell, Result, State
from zslbench.cells.store import Store
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.run.engine import Watcher
from zslbench.tables.progress import draws_bars, progress_bar, tell
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
    store
        The store of the results, for the paths of tracebacks.
    on_finished
        Function of the cell and its result, such as its projection into MLflow.
    shown
        Whether anything is printed.

    Examples
    --------
    >>> from pathlib import Path
    >>> with RunWatcher(0, Store(Path("runs")), shown=False) as watcher:
    ...     watcher.results
    []
    """

    def __init__(
        self, total: int, store: Store, on_finished: OnFinished = lambda cell, result: None, *, shown: bool = True
    ) -> None:
        self.total = total
        self.results: list[tuple[Cell, Result]] = []
        self.others = 0  # of the results, those that another run has computed
        self._store = store
        self._on_finished = on_finished
        self._titles: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._tasks: dict[str, Any] = {}
        self._said: dict[str, float] = {}
        self._explained: set[tuple[str, str, str]] = set()
        self._shown = shown
        self._bars: Any = progress_bar() if shown and draws_bars() else None

    def __enter__(self) -> RunWatcher:
        if self._bars:
            self._bars.start()
            self._all = self._bars.add_task("cells", total=self.total)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bars:
            self._bars.stop()

    def started(self, cell: Cell) -> None:
        """Show a bar for the cell."""
        self._titles[cell.id] = visible(cell.title)
        self._said[cell.id] = time.monotonic()
        if self._bars:
            name = visible(cell.name)
            self._names[cell.id] = name
            rest = self._titles[cell.id].removeprefix(name)
            self._tasks[cell.id] = self._bars.add_task(f"  {name}", total=None, rest=rest)

    def progress(self, cell_id: str, done: float, total: float, what: str) -> None:
        """Move the bar, or print a line every few seconds."""
        if self._bars:
            if cell_id in self._tasks:
                rest = f"{self._titles[cell_id].removeprefix(self._names[cell_id])}: {visible(what)}"
                self._bars.update(self._tasks[cell_id], completed=done, total=total, rest=rest)
        # Without a terminal the output is a log: one line every few seconds is enough.
        elif time.monotonic() - self._said.get(cell_id, 0.0) > _QUIET_SECONDS:
            self._said[cell_id] = time.monotonic()
            self._print(f"        {self._titles.get(cell_id, cell_id)}: {what} {done / max(total, 1e-9):.0%}")

    def noted(self, text: str) -> None:
        """Print a note."""
        self._print(f"note: {text}")

    def output(self, text: str) -> None:
        """Print a line of the method; of a bar that it draws, the last state."""
        self._print(text.rpartition("\r")[2] or text)

    def taken(self, cell: Cell, result: Result) -> None:
        """Print the figure of a cell that another run has computed."""
        self.others += 1
        self._add(cell, result, "computed by another run")

    def finished(self, cell: Cell, result: Result) -> None:
        """Print the cell's figure, or why it has none."""
        if self._bars:
            self._bars.remove_task(self._tasks.pop(cell.id))
        self._add(cell, result, f"{result.finished - result.started:.1f} s")

    def _add(self, cell: Cell, result: Result, how: str) -> None:
        self.results.append((cell, result))
        place = f"[{len(self.results)}/{self.total}]"
        if result.state is State.DONE:
            names = [name for name in PROTOCOLS[cell.protocol].figures[:3] if name in result.metrics and name != "top5"]
            figures = ", ".join(f"{name} {result.metrics[name]:.3f}" for name in names)
            line = f"{place} {cell.title}: {figures} (chance {result.metrics['chance']:.3f}), {how}"
        else:
            line = f"{place} {cell.title}: {result.state.value.upper()}, {how}: {_first_line(result)}"
        if self._bars:
            self._bars.advance(self._all)
        self._print(line)
        for more in self._where(cell, result):
            self._print(f"    {more}")
        self._on_finished(cell, result)

    def _where(self, cell: Cell, result: Result) -> Iterator[str]:
        """Yield where a method failed, and the file with the traceback; once if all its cells fail in one place."""
        failure = result.failure
        if failure is None or (cell.label, failure.type, failure.where) in self._explained:
            return
        self._explained.add((cell.label, failure.type, failure.where))
        if failure.where:
            yield f"at {failure.where}"
        yield f"see {self._store.error_path(cell.id)}"

    def _print(self, line: str) -> None:
        if self._shown:
            tell(line, self._bars)


def _first_line(result: Result) -> str:
    failure = result.failure
    if failure is None:
        return ""
    line = next(iter(failure.message.strip().splitlines()), "")
    if failure.type != result.state.value:  # of a process that ended, the type is only the state
        line = f"{failure.type}: {line}" if line else failure.type
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."
