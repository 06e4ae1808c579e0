"""The content of MLflow's runs: cells and rows as plain names, texts and numbers.

:mod:`zslbench.tracking.tracker` writes it to MLflow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zslbench.cells.cell import Cell, State
from zslbench.cells.rows import ONE_UNSEEN, Row, grouped, row_key, shown_metrics
from zslbench.cells.store import Record
from zslbench.digests import canonical_json, digest
from zslbench.tables.text import visible
from zslbench.tables.writer import escape

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric

CELL_ID = "zslbench.cell_id"
PARENT, PARENT_KEY = "zslbench.parent", "zslbench.parent_key"
RESULT_DIGEST = "zslbench.result_digest"
FORM, FORM_NOW = "zslbench.form", "2"  # of names and parameters; a run of another form is written again by a sync
_DIGITS = 4  # of a parent's metrics: MLflow's table shows all digits, and cuts them off; children have all
_MAX_DIGEST = 36  # MLflow's limits, in characters
_MAX_FOLDER = 200  # a file name has 255 bytes
_MAX_KEY, _MAX_NAME, _MAX_TAG, _MAX_PARAM = 250, 250, 5000, 6000


@dataclass(frozen=True)
class RunContent:
    """Everything of one MLflow run except its files."""

    name: str
    started: float
    finished: float
    ok: bool
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    points: list[Metric] = field(default_factory=list)
    datasets: list[DatasetInput] = field(default_factory=list)


def experiment_name(cell: Cell) -> str:
    """Return the experiment that a cell belongs to."""
    return f"zslbench/{cell.dataset}@{cell.features}/{cell.protocol}"


def artifacts_folder(experiment: str) -> str:
    """Return the name of an experiment's folder of files."""
    name = experiment.replace("/", "--")
    return name if len(name) <= _MAX_FOLDER else f"{name[:_MAX_FOLDER]}-{digest(experiment)}"


def parent_key(record: Record) -> str:
    """Return the digest of everything that the cells of one parent run share."""
    return digest(row_key(record))


def newest(records: Iterable[Record]) -> Record:
    """Return the record that finished last."""
    return max(records, key=lambda record: record.result.finished)


def result_digest(record: Record) -> str:
    """Return a digest that changes when a cell runs again; it is the same for the short records of the index."""
    result = record.result
    return digest([record.cell.id, result.state.value, result.started, result.finished])


def metric_name(name: str) -> str:
    """Return a name that MLflow accepts: of some characters, and no path that leads elsewhere."""
    parts = re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:_MAX_KEY].split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "_"


def mlflow_text(text: str, most: int) -> str:
    """Return a text that MLflow's database can hold, with at most so many characters."""
    text = visible(text, lines=True)
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True)
class Differences:
    """What differs between the rows of an experiment.

    Attributes
    ----------
    inputs
        Which of ``semantics`` and ``family``.
    settings
        Method -> names of its parameters that differ between its rows.
    """

    inputs: frozenset[str] = frozenset()
    settings: Mapping[str, frozenset[str]] = field(default_factory=dict)


def differences(cells: Sequence[Cell]) -> Differences:
    """Return what differs between rows, of which one cell each is given."""
    settings: dict[str, frozenset[str]] = {}
    for method, alike in grouped(cells, lambda cell: cell.method).items():
        names = {name for cell in alike for name in cell.params}
        settings[method] = frozenset(n for n in names if len({canonical_json(c.params.get(n)) for c in alike}) > 1)
    inputs = (name for name in ("semantics", "family") if len({getattr(cell, name) for cell in cells}) > 1)
    return Differences(frozenset(inputs), settings)


def settings(cell: Cell) -> dict[str, str]:
    """Return every parameter of the method, as ``set.METHOD.PARAMETER``."""
    named = {metric_name(f"set.{cell.method}.{name}"): value for name, value in cell.params.items()}
    return {k: "none" if v is None else v if isinstance(v, str) else canonical_json(v) for k, v in named.items()}


def params(cell: Cell, differs: Differences) -> dict[str, str]:
    """Return what distinguishes rows: their inputs, and those parameters of the method that differ between its rows.

    MLflow's parallel-coordinates plot draws an axis for each parameter that differs, also where only one of the
    methods has it. So the parameters that all rows of a method share are tags only.
    """
    ours = {
        "method": cell.method,
        "dataset": cell.dataset,
        "features": cell.features,
        "semantics": cell.semantics,
        "protocol": cell.protocol,
        "family": cell.family,
    }
    extras = {
        "texts": cell.texts, "attributes": cell.attributes, "auxiliary": cell.auxiliary and cell.auxiliary.title,
        "control": cell.control, "calibrate": "" if cell.calibrate else "no",
    }  # fmt: skip
    ours |= {name: value for name, value in extras.items() if value}
    # MLflow's plot starts with the first three that differ, sorted by name: "set.ridge.alpha" comes after "method".
    chosen = {metric_name(f"set.{cell.method}.{name}") for name in differs.settings.get(cell.method, ())}
    theirs = {name: text for name, text in settings(cell).items() if name in chosen}
    return {key: mlflow_text(text, _MAX_PARAM) for key, text in (ours | theirs).items()}


def run_name(cell: Cell, name: str, differs: Differences) -> str:
    """Return a parent run's name: as short as its experiment allows; SIMULATED comes first."""
    mark = "SIMULATED " if cell.simulated else ""
    inputs = [getattr(cell, each) for each in ("semantics", "family") if each in differs.inputs]
    return mlflow_text(" | ".join([f"{mark}{name.replace(' [simulated]', '')}", *inputs]), _MAX_NAME)


def common_tags(record: Record) -> dict[str, str]:
    """Return the tags that parents and children share."""
    cell = record.cell
    tags = {
        PARENT_KEY: parent_key(record),
        FORM: FORM_NOW,
        **({"zslbench.imported": record.origin} if record.origin else {}),
        **({"zslbench.control": cell.control} if cell.control else {}),
        "zslbench.label": cell.label,
        "zslbench.version": f"{cell.method_version} {cell.method_digest[:12]}",
        "zslbench.simulated": str(cell.simulated).lower(),
        "zslbench.reconstruction": str(cell.reconstruction).lower(),
        "zslbench.budget": " + ".join(cell.budget) or "nothing",
    }
    return _tags(tags)


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: mlflow_text(value, _MAX_TAG) for key, value in tags.items()}


def child_content(record: Record, parent_id: str, environment: Mapping[str, Any]) -> RunContent:
    """Return the run of one cell: its figures, the curves of its epochs, its datasets, and its state.

    It has no parameters: its parent has them, and writing them again would take a third of the time.
    """
    cell, result = record.cell, record.result
    mark = "SIMULATED " if cell.simulated else ""
    tags = common_tags(record) | {
        "mlflow.parentRunId": parent_id,
        CELL_ID: cell.id,
        RESULT_DIGEST: result_digest(record),
        "zslbench.state": result.state.value,
        "zslbench.split": str(cell.split),
        "zslbench.seed": str(cell.seed),
        "zslbench.split_digest": cell.split_digest,
        **_source_tags(environment),
    }
    if result.failure:
        note = f"{result.state.value}: {result.failure.type}: {result.failure.message[:_MAX_TAG]}"
        tags["mlflow.note.content"] = escape("markdown", note)
    measured = result.model_dump(include={"fit_seconds", "score_seconds", "peak_mb"}, exclude_none=True)
    return RunContent(
        name=f"{mark}split {cell.split}, seed {cell.seed}",
        started=result.started,
        finished=result.finished,
        ok=result.state is State.DONE,
        tags=_tags(tags),
        points=_points(shown_metrics(record) | measured, result.finished) + _curves(record),
        datasets=_datasets(cell),
    )


def in_ms(seconds: float) -> int:
    """Return a time in MLflow's unit."""
    return round(seconds * 1000)


def _points(figures: Mapping[str, float], time: float, step: int = 0) -> list[Metric]:
    """Return the finite figures as values of metrics."""
    from mlflow.entities import Metric

    finite = {name: value for name, value in figures.items() if math.isfinite(value)}
    return [Metric(metric_name(name), value, in_ms(time), step) for name, value in finite.items()]


def _curves(record: Record) -> list[Metric]:
    """Return the metrics of the epochs as steps, spread evenly over the cell's time."""
    result = record.result
    pace = (result.finished - result.started) / max(1, len(result.epochs))
    return [
        point
        for step, epoch in enumerate(result.epochs, start=1)
        for point in _points({f"epoch/{name}": v for name, v in epoch.items()}, result.started + pace * step, step)
    ]


def _dataset(name: str, digest: str, context: str) -> DatasetInput:
    """Return a dataset that a run used, in the form of MLflow's list."""
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    source = CodeDatasetSource(tags={"mlflow.source.name": "zslbench"})
    # mypy takes `profile` for abstract; MLflow gives it a default.
    entity = MetaDataset(source, name=mlflow_text(name, _MAX_NAME), digest=digest[:_MAX_DIGEST])._to_mlflow_entity()  # type: ignore[abstract]  # noqa: SLF001
    return DatasetInput(entity, [InputTag("mlflow.data.context", context)])


def _datasets(cell: Cell) -> list[DatasetInput]:
    """Return the training data and the test data, by content."""
    train = cell.seen_features_digest or cell.features_digest
    seen = f"{cell.seen_dataset or cell.dataset}@{cell.features} {cell.family} {cell.split} seen"
    unseen = f"{cell.dataset}@{cell.features} {cell.family} {cell.split} unseen"
    return [
        _dataset(seen, digest([train, cell.split_digest, "seen"]), "seen-train"),
        _dataset(unseen, digest([cell.features_digest, cell.split_digest, "unseen"]), "unseen-test"),
    ]


def _source_tags(environment: Mapping[str, Any]) -> dict[str, str]:
    git = environment.get("git") or {}
    tags = {"mlflow.source.name": "zslbench", "mlflow.source.type": "LOCAL"}
    if git.get("commit"):
        tags |= {"mlflow.source.git.commit": git["commit"], "zslbench.git_dirty": str(bool(git.get("dirty"))).lower()}
    return tags


def parent_content(row: Row, records: Sequence[Record], differs: Differences) -> RunContent:
    """Return a leaderboard row as a run; ``differs`` is what differs between the rows of its experiment."""
    latest = newest(records)
    cell = latest.cell
    name, parameters = run_name(cell, row.name, differs), params(cell, differs)
    figures = _figures(row)
    if row.failures:
        figures["n_without_figures"] = float(sum(row.failures.values()))
    tags = common_tags(latest) | {
        PARENT: "true",
        "zslbench.splits": f"{row.n_done}/{row.n_all}",
        "zslbench.seeds": ", ".join(map(str, row.seeds)),
        "zslbench.without_figures": ", ".join(f"{n} {state}" for state, n in sorted(row.failures.items())) or "none",
        "mlflow.note.content": _note(row),
        "mlflow.source.name": "zslbench",
        **settings(cell),
        RESULT_DIGEST: digest([name, parameters, sorted(map(result_digest, records))]),
    }
    return RunContent(
        name=name,
        started=min(record.result.started for record in records),
        finished=latest.result.finished,
        ok=bool(row.n_splits),
        tags=_tags(tags),
        params=parameters,
        points=_points(figures, latest.result.finished),
        datasets=[_dataset(f"{cell.dataset}@{cell.features}", cell.features_digest, "unseen-test")],
    )


def _figures(row: Row) -> dict[str, float]:
    """Return a row's metrics in the order in which MLflow's plot offers them: the headline, its interval, the rest."""
    bounds = {name: f"{row.primary}_{name}" for name in ("low", "high")}
    figures = {bounds.get(name, name): value for name, value in row.figures.items()}
    first = [name for name in (row.primary, *bounds.values()) if name in figures]
    counts = {"n_splits": float(row.n_splits), "n_seeds": float(len(row.seeds))}
    ordered = {name: figures[name] for name in first} | counts | figures
    return {name: round(value, _DIGITS) for name, value in ordered.items()}


def _note(row: Row) -> str:
    """Return the description on a parent's page: its figures, and what their intervals and spreads are over."""
    mark = "**SIMULATED FEATURES: no video was used.** " if row.simulated else ""
    if not row.figures:
        why = "see the descriptions of the child runs"
        if ONE_UNSEEN in row.failures:
            why = "a split needs two unseen classes"
        return f"{mark}No cell has figures: {why}."
    figures = row.figures
    low, high = figures["low"], figures["high"]
    return (
        f"{mark}Mean {row.primary} **{figures[row.primary]:.4f}** over {row.n_splits} distinct splits of "
        f"{row.table.family}; `{row.primary}_low` and `{row.primary}_high` ({low:.4f} to {high:.4f}) are its 95 % "
        f"interval over classes, `split_std` is the standard deviation over splits (ddof=1), with seeds pooled."
    )
