"""Read stored results from Python, as tables of pandas."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zslbench.cells.cell import PREDICTIONS, Cell, State
from zslbench.cells.rows import Defaults, current_rows, registered_defaults, shown_metrics
from zslbench.cells.store import Record, Store
from zslbench.cells.unreadable import unreadable_text
from zslbench.datasets.catalog import dataset_name
from zslbench.errors import NotFoundError, ZslbenchError, some, suggest
from zslbench.leaderboard.board import Leaderboard, build_rows, defaults_of_run
from zslbench.leaderboard.comparison import Settings, compare, plain_name
from zslbench.leaderboard.tables import html_body, row_facts, write_table

if TYPE_CHECKING:
    import pandas as pd

RESULTS_FOLDER = "results/runs"
_PLACE = ("dataset", "features", "semantics", "protocol", "family", "split", "seed")


class Results:
    """Stored results: those of one run, or all of a folder or bundle. In a notebook, they show their leaderboard.

    Each call reads what is stored at that time.

    Parameters
    ----------
    results
        A results folder, or a bundle ``FILE.zip``, which is verified and unpacked into a temporary folder.
    cells
        Only these cells; ``None`` for all.

    Raises
    ------
    NotFoundError
        The folder does not exist.
    ZslbenchError
        The file is no bundle, or disagrees with itself.

    Examples
    --------
    >>> Store(Path("runs")).prepare()
    >>> Results("runs")
    Results('runs'): 0 cells; print() shows the leaderboard
    >>> Results("runs").failures.empty
    True
    """

    def __init__(self, results: str | PathLike[str] = RESULTS_FOLDER, *, cells: Sequence[Cell] | None = None) -> None:
        path = Path(results)
        if not path.exists():
            raise NotFoundError(f"there is no results folder or bundle {path}; run something first, or name another.")
        if path.is_file():
            from zslbench.bundles.exchange import results_folder

            with contextlib.ExitStack() as stack:
                path = stack.enter_context(results_folder(path))
                weakref.finalize(self, stack.pop_all().close)  # the unpacked bundle lives as long as its results
        self._store = Store(path)
        self._given = Path(results)
        self._ids = None if cells is None else {cell.id for cell in cells}
        self._defaults: Defaults = registered_defaults if cells is None else defaults_of_run(cells)

    def _records(self) -> list[Record]:
        records, unreadable = self._store.scan()
        if self._ids is not None:
            records = [record for record in records if record.cell.id in self._ids and not record.origin]
            unreadable = [each for each in unreadable if each.id in self._ids]
        if unreadable:
            warnings.warn(unreadable_text(unreadable), stacklevel=3)
        return records

    def _board(self, **options: Any) -> Leaderboard:
        return build_rows(self._records(), defaults=self._defaults, **options)

    def leaderboard(
        self, *, sort: str | None = None, mix_budgets: bool = False, all_versions: bool = False
    ) -> pd.DataFrame:
        """Return one line per row of the leaderboard, with the keys of ``zslbench leaderboard --format json``.

        The figures are shares; ``low_95_over_classes`` and ``high_95_over_classes`` are the interval of the one that
        the row is ranked by.

        Parameters
        ----------
        sort
            The figure to rank by; by default ``H`` in gzsl and ``top1`` elsewhere.
        mix_budgets
            Whether to rank methods of different information budgets together.
        all_versions
            Whether to show also rows of older code and data.

        Raises
        ------
        ZslbenchError
            ``sort`` is not a figure, or none of these rows has it.
        """
        import pandas as pd

        board = self._board(sort=sort, mix_budgets=mix_budgets, all_versions=all_versions)
        return pd.DataFrame([row_facts(row) for row in board])

    def compare(
        self, *methods: str, metric: str | None = None, level: float = 0.95, nadeau_bengio: bool = False
    ) -> pd.DataFrame:
        """Return the paired difference of each two methods, class by class, with its interval and p-value.

        Parameters
        ----------
        methods
            Labels (``"ridge"``) or names of rows; none for all.
        metric
            The figure; by default that of the protocol.
        level
            Coverage of the intervals.
        nadeau_bengio
            Whether to add the corrected t-test over splits.

        Raises
        ------
        ZslbenchError
            No row has that name, or no table has figures of two of the methods.
        """
        import pandas as pd

        from zslbench.report.comparison_text import facts

        tables = compare(self._records(), methods, Settings(metric, level, nadeau_bengio), defaults=self._defaults)
        return pd.DataFrame([facts(table, each) for table in tables for each in table.comparisons])

    def predictions(self, method: str, split: int = 0, **place: str | int) -> pd.DataFrame:
        """Return the predictions of one cell: columns ``video``, ``class``, ``predicted`` and ``score``.

        Parameters
        ----------
        method
            A label (``"ridge"``) or the name of a row.
        split
            Index of the split.
        place
            ``dataset``, ``features``, ``semantics``, ``protocol``, ``family`` or ``seed``, if several cells remain.

        Raises
        ------
        ZslbenchError
            No finished cell is meant, or several are.
        """
        import pandas as pd

        from zslbench.cells.predictions import read_predictions

        record = self._one(method, {**place, "split": split})
        found = read_predictions(self._store.folder(record) / PREDICTIONS)
        names = pd.Index(found.classes)
        ranked = found.ranked
        return pd.DataFrame({
            "video": found.videos,
            "class": names[ranked.labels],
            "predicted": names[ranked.best[:, 0]],
            "score": ranked.scores[:, 0],
        })  # fmt: skip

    def _one(self, method: str, place: dict[str, str | int]) -> Record:
        """Return the finished cell of a method in one place."""
        if strange := place.keys() - set(_PLACE):
            raise ZslbenchError(f"predictions are not chosen by {min(strange)!r}.{suggest(min(strange), _PLACE)}")
        if "dataset" in place:
            place = {**place, "dataset": dataset_name(str(place["dataset"]))}
        pairs, _ = current_rows(self._records(), defaults=self._defaults)
        exact = [group for row, group in pairs if method in (row.name, plain_name(row))]
        groups = exact or [group for row, group in pairs if method == row.label and not row.control]
        of_method = [record for group in groups for record in group]
        if not of_method:
            known = sorted({plain_name(row) for row, _ in pairs})
            raise NotFoundError(f"no stored result is called {method!r}.{suggest(method, known)}")
        done = [record for record in of_method if record.result.state is State.DONE]
        found = [r for r in done if all(getattr(r.cell, name) == value for name, value in place.items())]
        if len(found) == 1:
            return found[0]
        if not found:
            wanted = ", ".join(f"{name} {value}" for name, value in place.items())
            there = [f"{name} {_values(done, name)}" for name in place]
            raise NotFoundError(f"{method} has no finished cell of {wanted}; there is {'; '.join(there)}.")
        differing = [name for name in _PLACE if len({getattr(r.cell, name) for r in found}) > 1]
        what = "; ".join(f"{name}: {_values(found, name)}" for name in differing) or "name as in the leaderboard"
        raise ZslbenchError(f"{len(found)} cells of {method} are meant; choose one by its {what}.")

    @property
    def cells(self) -> pd.DataFrame:
        """One line per cell: method, inputs, split, seed, state, figures, seconds, id and folder."""
        import pandas as pd

        return pd.DataFrame([
            {
                "method": record.cell.name,
                **{name: getattr(record.cell, name) for name in _PLACE},
                "state": record.result.state.value,
                **shown_metrics(record),
                "fit_seconds": record.result.fit_seconds,
                "cell": record.cell.id,
                "folder": str(self._store.folder(record)),
            }
            for record in self._records()
        ])  # fmt: skip

    @property
    def failures(self) -> pd.DataFrame:
        """One line per cell that failed when it last ran: error, place in the method's code, and traceback's file.

        A cell that had figures before keeps them, and is listed here, too.
        """
        import pandas as pd

        found = []
        for record in self._records():
            store = self._store.source(record)
            last = store.newest(record.cell.id)
            result = last.result if isinstance(last, Record) else record.result
            if result.failure is not None:
                found.append({
                    "method": record.cell.name,
                    **{name: getattr(record.cell, name) for name in _PLACE},
                    "state": result.state.value,
                    "type": result.failure.type,
                    "message": result.failure.message,
                    "where": result.failure.where,
                    "traceback": str(store.error_path(record.cell.id)),
                    "cell": record.cell.id,
                })  # fmt: skip
        columns = ["method", *_PLACE, "state", "type", "message", "where", "traceback", "cell"]
        return pd.DataFrame(found, columns=columns)

    def __repr__(self) -> str:
        return f"Results({str(self._given)!r}): {len(self._records())} cells; print() shows the leaderboard"

    def __str__(self) -> str:
        board = self._board()
        return write_table(board) if len(board) else repr(self)

    def _repr_html_(self) -> str:
        board = self._board()
        return html_body(board) if len(board) else f"<p>{len(board)} cells</p>"


def _values(records: Sequence[Record], name: str) -> str:
    return some(sorted({str(getattr(record.cell, name)) for record in records})) or "none"
