"""MLflow as a projection of the store: written by the launching process, rebuilt at any time, never read back.

Only modules of this room import MLflow, and only inside functions: the import takes seconds.

MLflow cannot remove the metrics and parameters of a run. So a cell that ran again gets a new run, and its old run goes
to MLflow's trash (``mlflow gc`` empties it). A parent run is final only after :meth:`Tracker.finish`.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zslbench.cells.cell import Cell
from zslbench.cells.rows import grouped, make_row, primary
from zslbench.cells.store import Record, Store
from zslbench.digests import digest
from zslbench.leaderboard.board import build_rows
from zslbench.leaderboard.tables import write_table
from zslbench.tracking._content import (
    CELL_ID,
    FORM,
    FORM_NOW,
    PARENT,
    PARENT_KEY,
    RESULT_DIGEST,
    Differences,
    RunContent,
    artifacts_folder,
    child_content,
    common_tags,
    differences,
    experiment_name,
    in_ms,
    newest,
    parent_content,
    parent_key,
    result_digest,
    run_name,
)
from zslbench.tracking._database import create, leave_space_for_cells, set_half_made_aside, wait_for_no_disk
from zslbench.tracking._turns import Turns
from zslbench.tracking.environment import prepare_environment
from zslbench.tracking.errors import TrackingError, refusal
from zslbench.tracking.view import VIEW_TAG, board_view

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
_LEADERBOARD = "zslbench.leaderboard"
_KIND = ("mlflow.experimentKind", "custom_model_development")  # MLflow's pages for models, not those for chats
_NOTE = "mlflow.note.content"
_NOTE_LENGTH = 5_000  # characters of a tag of an experiment, in the oldest MLflow that zslbench takes
_POINTS_PER_BATCH = 800  # MLflow takes 1,000 metrics, parameters and tags together, of which 100 parameters
_PARAMS_PER_BATCH = _TAGS_PER_BATCH = 100


def default_uri(root: Path) -> str:
    """Return the address of the MLflow store in a results folder."""
    return f"sqlite:///{(root / DATABASE).absolute()}"


def check_database(root: Path) -> None:
    """Raise :class:`TrackingError` unless the database of a results folder is one of MLflow."""
    try:
        with contextlib.closing(sqlite3.connect(f"{(root / DATABASE).absolute().as_uri()}?mode=ro", uri=True)) as base:
            base.execute("SELECT 1 FROM alembic_version")
    except sqlite3.Error as error:
        raise TrackingError(f"{refusal(error, default_uri(root))} 'zslbench track sync' makes it again.") from error


@dataclass
class _Run:
    """A run that MLflow has."""

    id: str
    digest: str | None
    complete: bool


@dataclass
class _Parent:
    """A parent run and its children by cell id."""

    experiment: str
    id: str
    digest: str | None
    children: dict[str, _Run] = field(default_factory=dict)


class Tracker:
    """Write finished cells to MLflow.

    Parameters
    ----------
    store
        The store of the results.
    uri
        An MLflow tracking URI; ``None`` for ``mlflow.db`` and ``mlartifacts`` in the results folder, which are created
        if missing.

    Attributes
    ----------
    counts
        Number of child runs that were ``created``, ``updated`` and ``unchanged``, and of parents that were ``renewed``
        because an older version of zslbench had written them.
    set_aside
        A sentence if a half-made database was renamed, or an empty text.

    Raises
    ------
    TrackingError
        Nothing answers at ``uri``, or the disk of the results folder is nearly full; every method can raise it, too.

    Examples
    --------
    >>> tracker = Tracker(Store(Path("results")))
    >>> for record in tracker.store.records():
    ...     tracker.project(record)
    >>> tracker.finish()
    >>> dict(tracker.counts)
    {}
    """

    def __init__(self, store: Store, uri: str | None = None) -> None:
        prepare_environment()
        self.store = store
        self.uri = uri or default_uri(store.root)
        self._own = uri is None
        self.counts: Counter[str] = Counter()
        self.set_aside = ""
        self._experiments: dict[str, str] = {}
        self._parents: dict[str, _Parent] = {}
        self._touched: dict[str, Record] = {}  # by the key of the parent
        self._projected: set[tuple[str, str]] = set()
        self._turns = Turns(store)
        logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs every migration of a new database
        with self._reaching():
            database = store.root / DATABASE if self._own else None
            self.set_aside = set_half_made_aside(database) if database else ""
            self._fresh = database is not None and not database.exists()
            if database and self._fresh:
                create(database, self._connect)
            if database:
                wait_for_no_disk(database)
            self._client = self._connect(self.uri)

    def _connect(self, uri: str) -> Any:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
        return client

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        from alembic.util import CommandError
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._turns.turn() as unseen:
                if self._own:
                    leave_space_for_cells(self.store.root)
                if unseen:  # another run has written: what this one knows may be old
                    self._experiments.clear()
                    self._parents.clear()
                yield
        except (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError) as error:
            raise TrackingError(refusal(error, self.uri)) from error

    def project(self, record: Record) -> None:
        """Write one stored cell as a child run, unless MLflow has it already; create its parent if necessary."""
        with self._reaching():
            self._write_child(self._parent(parent_key(record), record), record)
        self._projected.add((record.origin, record.cell.id))

    def project_missing(self, cells: Iterable[Cell]) -> int:
        """Project those of the cells that are stored, or all that is stored if the database is new.

        Returns
        -------
        late
            The number of cells that MLflow did not have.
        """
        before = self.counts["created"] + self.counts["updated"]
        wanted = {cell.id for cell in cells}
        for record in self.store.records():
            asked = self._fresh or (not record.origin and record.cell.id in wanted)
            if asked and (record.origin, record.cell.id) not in self._projected:
                self.project(record)
        return self.counts["created"] + self.counts["updated"] - before

    def finish(self) -> None:
        """Update the parents of all projected cells, their figures and the leaderboards."""
        with self._reaching():
            parents = {key: self._parent(key, record) for key, record in self._touched.items()}
            touched = {parent.experiment for parent in parents.values()}
            experiments = grouped(self.store.records(), lambda record: experiment_name(record.cell))
            experiments = {name: found for name, found in experiments.items() if self._experiments.get(name) in touched}
            for name, records in experiments.items():
                self._update_parents(self._experiments[name], grouped(records, parent_key), parents)
                self._write_leaderboard(self._experiments[name], records)
            self._turns.over()

    def _update_parents(
        self, experiment: str, groups: Mapping[str, list[Record]], touched: Mapping[str, _Parent]
    ) -> None:
        """Update the parents of projected cells, and those that get another name or parameter because of them."""
        differs = differences([newest(records).cell for records in groups.values()])
        known = {
            run.data.tags[PARENT_KEY]: _Parent(experiment, run.info.run_id, run.data.tags.get(RESULT_DIGEST))
            for run in self._search(experiment, PARENT, "true")
            if run.data.tags.get(FORM) == FORM_NOW
        }
        for key, parent in {**known, **touched}.items():
            if key in groups:
                self._update_parent(parent, groups[key], differs)

    def _parent(self, key: str, record: Record) -> _Parent:
        self._touched[key] = record
        if key not in self._parents:
            self._parents[key] = self._find_parent(key, record)
        return self._parents[key]

    def _experiment(self, name: str, view: str) -> str:
        if name not in self._experiments:
            known = self._client.get_experiment_by_name(name)
            if known is None:
                # A server chooses the place of its artifacts; with a database file, the place is ours to choose.
                local = self.uri.startswith("sqlite:")
                place = (self.store.root / ARTIFACTS / artifacts_folder(name)).absolute().as_uri() if local else None
                self._experiments[name] = self._client.create_experiment(name, place, dict([_KIND, (VIEW_TAG, view)]))
            else:
                if known.lifecycle_stage == "deleted":
                    self._client.restore_experiment(known.experiment_id)
                self._experiments[name] = known.experiment_id
        return self._experiments[name]

    def _search(self, experiment: str, tag: str, value: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs(
                [experiment], f"tags.`{tag}` = '{value}'", max_results=1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _find_parent(self, key: str, record: Record) -> _Parent:
        """Return the parent with its children in MLflow; one search finds both, because all have the key as a tag."""
        experiment = self._experiment(experiment_name(record.cell), board_view(primary(record.cell.protocol)))
        children: dict[str, _Run] = {}
        parent = None
        for run in self._search(experiment, PARENT_KEY, key):
            tags = run.data.tags
            if CELL_ID in tags:
                complete = run.info.status in ("FINISHED", "FAILED")
                children[tags[CELL_ID]] = _Run(run.info.run_id, tags.get(RESULT_DIGEST), complete)
            elif tags.get(FORM) == FORM_NOW:
                parent = _Parent(experiment, run.info.run_id, tags.get(RESULT_DIGEST))
            else:  # MLflow cannot rename its parameters and metrics
                self._client.delete_run(run.info.run_id)
                self.counts["renewed"] += 1
        if parent is None:
            tags = common_tags(record) | {PARENT: "true"}
            name = run_name(record.cell, record.cell.label, Differences())
            made = self._client.create_run(experiment, in_ms(record.result.started), tags, name)
            parent = _Parent(experiment, made.info.run_id, None)
            for child in children.values():  # children whose parent was deleted
                self._client.set_tag(child.id, "mlflow.parentRunId", parent.id)
        parent.children = children
        return parent

    def _write_child(self, parent: _Parent, record: Record) -> None:
        known = parent.children.get(record.cell.id)
        wanted = result_digest(record)
        if known and known.complete and known.digest == wanted:
            self.counts["unchanged"] += 1
            return
        if known:
            self._client.delete_run(known.id)
        source = self.store.source(record)
        whole = replace(source.read(record.cell.id), origin=record.origin)  # the index's short records have no epochs
        content = child_content(whole, parent.id, source.environment(record.cell.id))
        run = self._client.create_run(parent.experiment, in_ms(content.started), content.tags, content.name)
        if source.has_model(record.cell.id):
            from zslbench.tracking._model import log_model

            log_model(self._client, source.model_path(record.cell.id), parent.experiment, run.info.run_id)
        self._log(run.info.run_id, content)
        parent.children[record.cell.id] = _Run(run.info.run_id, wanted, complete=True)
        self.counts["updated" if known else "created"] += 1

    def _log(self, run_id: str, content: RunContent) -> None:
        """Write metrics, parameters and datasets in batches, and close the run."""
        from mlflow.entities import Param

        params = [Param(name, value) for name, value in content.params.items()]
        # Parameters go with the first batch of metrics, which saves a request; there is always a first batch.
        for i in range(0, max(len(content.points), 1), _POINTS_PER_BATCH):
            self._client.log_batch(
                run_id, content.points[i : i + _POINTS_PER_BATCH], params[:_PARAMS_PER_BATCH] if not i else []
            )
        for i in range(_PARAMS_PER_BATCH, len(params), _PARAMS_PER_BATCH):
            self._client.log_batch(run_id, params=params[i : i + _PARAMS_PER_BATCH])
        self._client.log_inputs(run_id, content.datasets)
        self._client.set_terminated(run_id, "FINISHED" if content.ok else "FAILED", in_ms(content.finished))

    def _update_parent(self, parent: _Parent, records: list[Record], differs: Differences) -> None:
        from mlflow.entities import RunTag

        content = parent_content(make_row(records), records, differs)
        if content.tags[RESULT_DIGEST] == parent.digest:
            return
        self._log_files(parent.id, lambda folder: self._confusion(records, content.name, folder))
        self._client.update_run(parent.id, name=content.name)
        self._log(parent.id, content)
        # Last, because the digest among the tags marks the run as complete: an interrupted one is written again.
        tags = [RunTag(name, value) for name, value in content.tags.items()]
        for i in range(0, len(tags), _TAGS_PER_BATCH):
            self._client.log_batch(parent.id, tags=tags[i : i + _TAGS_PER_BATCH])
        parent.digest = content.tags[RESULT_DIGEST]

    def _confusion(self, records: list[Record], title: str, folder: Path) -> None:
        from zslbench.report.confusion import confusion_figure, summed_confusion

        summed = summed_confusion(self.store.folder(r) / "predictions.parquet" for r in records)
        if summed is not None:
            confusion_figure(*summed, title=title).savefig(folder / "confusion.png")

    def _write_leaderboard(self, experiment: str, records: list[Record]) -> None:
        board = build_rows(records)
        formats = {"md": "markdown", "html": "html", "csv": "csv"}
        texts = {suffix: write_table(board, fmt) for suffix, fmt in formats.items()}
        view = board_view(primary(records[0].cell.protocol))
        wanted = digest([texts, view])
        run = next(self._search(experiment, _LEADERBOARD, "true"), None)
        if run is not None and run.data.tags.get(RESULT_DIGEST) == wanted:
            return
        newest = max(record.result.finished for record in records)
        if run is None:
            tags = {_LEADERBOARD: "true", "zslbench.simulated": str(records[0].cell.simulated).lower()}
            mark = "SIMULATED " if records[0].cell.simulated else ""
            run = self._client.create_run(experiment, in_ms(newest), tags, f"{mark}leaderboard (see its artifacts)")
        run_id = run.info.run_id

        def write(folder: Path) -> None:
            for suffix, text in texts.items():
                (folder / f"leaderboard.{suffix}").write_text(text + "\n", encoding="utf-8")

        self._log_files(run_id, write)
        self._client.set_experiment_tag(experiment, _NOTE, texts["md"][:_NOTE_LENGTH])
        self._client.set_experiment_tag(experiment, VIEW_TAG, view)
        self._client.set_experiment_tag(experiment, *_KIND)
        self._client.set_terminated(run_id, "FINISHED", in_ms(newest))
        self._client.set_tag(run_id, RESULT_DIGEST, wanted)

    def _log_files(self, run_id: str, write: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            if any(Path(folder).iterdir()):
                self._client.log_artifacts(run_id, folder)


def sync(
    store: Store, uri: str | None = None, on_cell: Callable[[int, int], None] = lambda done, total: None
) -> Counter[str]:
    """Write all of the store to MLflow; return the numbers of child runs that were created, updated and unchanged.

    Parameters
    ----------
    on_cell
        Called with (done, total) after each cell.

    Raises
    ------
    TrackingError
        Nothing answers at ``uri``.
    """
    tracker = Tracker(store, uri)
    if tracker.set_aside:
        logging.getLogger("zslbench").warning("note: %s", tracker.set_aside)
    records = store.records()
    for i, record in enumerate(records, start=1):
        tracker.project(record)
        on_cell(i, len(records))
    tracker.finish()
    return tracker.counts
