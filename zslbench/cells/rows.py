"""Turn stored cells into rows of figures, for the leaderboard, MLflow's parent runs and the report.

A row is one method with its parameters on one feature set, class vectors, protocol and split family. The counts per
class sum over the seeds of a split; repeated splits count once.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np

from zslbench.cells.cell import Cell, State
from zslbench.cells.checked import passed_checks
from zslbench.cells.counts import Counts
from zslbench.cells.store import Record
from zslbench.digests import canonical_json
from zslbench.errors import ZslbenchError
from zslbench.method import Budget
from zslbench.protocols.protocol import PROTOCOLS, Protocol
from zslbench.registry import get_method, installed_method, parse_label
from zslbench.semantics.attributes import DERIVED
from zslbench.semantics.texts import SHIPPED
from zslbench.stats.intervals import estimate
from zslbench.stats.metrics import TOP
from zslbench.stats.paired import PairedDifference

Defaults = Callable[[str], Mapping[str, Any] | None]
Key = tuple[Any, ...]
Group = list[Record]
_T = TypeVar("_T")
ONE_UNSEEN = "one unseen class"  # why a cell counts as one without figures: every method is right
_PASSED_ON = ("top5_per_class", "H_calibrated", "AUSUC", "hubness", "chance", "majority")


class Table(NamedTuple):
    """The inputs that all rows of one table share; only rows of one table are ranked together.

    Examples
    --------
    >>> Table("ucf101", "c3d", "zsl", "xu-50/50", "minilm").title
    'ucf101@c3d, protocol zsl, splits xu-50/50, class vectors minilm'
    """

    dataset: str
    features: str
    protocol: Protocol
    family: str
    semantics: str

    @property
    def title(self) -> str:
        """One line above the table."""
        return (
            f"{self.dataset}@{self.features}, protocol {self.protocol}, splits {self.family}, "
            f"class vectors {self.semantics}"
        )


class Change(NamedTuple):
    """The difference of a row's primary figure from that of the row ``over``, paired by class.

    Examples
    --------
    >>> from zslbench.stats.paired import compare_classes
    >>> change = Change("nearest-text", compare_classes(np.array([0.2, 0.1, 0.3])))
    >>> round(change.difference.mean, 2)
    0.2
    """

    over: str
    difference: PairedDifference


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes
    ----------
    name
        The text of the first column: label, chosen parameters and all marks.
    label, params, chosen
        The method with its preset, all parameters, and those that differ from the preset.
    version
        Short digest of code and data; rows of different versions are never ranked together.
    n_splits, n_done, n_all
        Numbers of distinct finished splits, of all finished splits, and of the family's splits. The last two count
        repeated splits each time.
    splits
        Digests of the finished splits.
    figures
        Name -> share, empty if nothing succeeded: ``top1`` (or ``H``, ``S``, ``U``), ``low`` and ``high`` (95 %
        interval of the primary figure over classes), ``split_std`` (ddof=1), ``chance``, ``fit_seconds``.
        There is no ``top5`` if a split has at most five unseen classes.
    failures
        State, or :data:`ONE_UNSEEN` -> number of cells without figures.
    finished
        Time of the newest cell.
    counts
        The counts that the figures are computed from; ``None`` if nothing succeeded.
    near_best
        Whether there is no significant difference from the best of its table and budget; ``None`` if not tested.
    untested
        Why a row that has a rank was not tested against the best; empty if it was.
    codes
        Codes of the findings that its name shows (:mod:`zslbench.audit.findings`): leaks of its figures, and W3.
    reads_seed
        Whether the method read its seed in a finished cell, so that its figures may depend on it.
    checked
        Whether the source of the method, as it ran, has passed ``zslbench check`` (:mod:`zslbench.cells.checked`).
    pooled
        How many of the class vectors were pooled from words because their source lacks the names (:class:`Cell`).
    origin
        The imported bundle that its cells are from; empty if they were run here.
    control
        How the frames of its videos were changed (``run --control``); empty for all rows that have a rank.
    gain
        Of a trained method, over the frozen scorer of its table with the same control, if one ran.
    control_change
        Of a row with a control, over the same row without it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from zslbench.cells.store import Store
    >>> for records in group_cells(Store(Path("results/runs")).records()).values():
    ...     print(make_row(records).name)
    """

    table: Table
    name: str
    method: str
    label: str
    params: dict[str, Any]
    chosen: dict[str, Any]
    budget: tuple[str, ...]
    simulated: bool
    reconstruction: bool
    version: str
    seeds: tuple[int, ...]
    n_splits: int
    n_done: int
    n_all: int
    splits: frozenset[str]
    figures: dict[str, float]
    failures: dict[str, int]
    finished: float
    rank: int | None = None
    ranked_by: str = field(default="")
    counts: Counts | None = field(default=None, repr=False, compare=False)
    near_best: bool | None = None
    untested: str = ""
    codes: tuple[str, ...] = ()
    features_digest: str = ""
    reads_seed: bool = False
    checked: bool = False
    pooled: str = ""
    origin: str = ""
    control: str = ""
    gain: Change | None = None
    control_change: Change | None = None

    @property
    def primary(self) -> str:
        """The figure that the interval and the spread belong to."""
        return primary(self.table.protocol)

    @property
    def leaks(self) -> tuple[str, ...]:
        """The codes of leaks."""
        return tuple(code for code in self.codes if code.startswith("L"))

    @property
    def overlap_unknown(self) -> bool:
        """Whether its extractor may have seen unseen classes that no list shows (W3)."""
        return "W3" in self.codes


def marked(row: Row, codes: tuple[str, ...]) -> Row:
    """Return a row whose name shows these codes, such as ``ridge [L1]``."""
    return replace(row, name=row.name + "".join(f" [{code}]" for code in codes), codes=codes)


def is_reference(row: Row) -> bool:
    """Return whether a row is only a reference: chance, a choice made with test labels, or a control."""
    if row.budget or row.control:
        return Budget.ORACLE in row.budget or bool(row.control)
    method = installed_method(row.method)  # a classifier learns from labelled videos alone, without a budget
    return method is None or method.info.scores != "trained"


def primary(protocol: Protocol) -> str:
    """Return the figure that ranks a protocol by default."""
    return PROTOCOLS[protocol].primary


def table_of(cell: Cell) -> Table:
    """Return the table that a cell belongs to."""
    return Table(cell.dataset, cell.features, cell.protocol, cell.family, cell.semantics)


def data_version(cell: Cell) -> Key:
    """Return the digests that distinguish data of the same names, and the harness's recipe."""
    return (cell.classes_digest, cell.features_digest, cell.seen_features_digest, cell.semantics_digest,
            cell.family_digest, cell.recipe, cell.held_out)  # fmt: skip


def code_version(cell: Cell) -> Key:
    """Return the values that distinguish versions of one method."""
    return (cell.method_version, cell.method_digest)


def row_key(record: Record) -> Key:
    """Return the key that cells of one row share, without the label: two labels can mean the same parameters.

    Imported bundles have rows of their own.
    """
    cell = record.cell
    params = canonical_json(cell.params)
    extras = (canonical_json(cell.extras),) if cell.extras else ()
    imported = (record.origin,) if record.origin else ()
    return (*imported, table_of(cell), data_version(cell), cell.method, code_version(cell), params, *extras)


def group_cells(records: Iterable[Record]) -> dict[Key, list[Record]]:
    """Return the records of each row."""
    return grouped(records, row_key)


def grouped(items: Iterable[_T], key: Callable[[_T], Any]) -> dict[Any, list[_T]]:
    """Return key -> items, in their order."""
    groups: dict[Any, list[_T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)


def registered_defaults(label: str) -> Mapping[str, Any] | None:
    """Return the parameters of ``name`` or ``name:preset``, or ``None`` if it is not installed."""
    from pydantic import ValidationError

    name, preset = parse_label(label)
    try:
        method = get_method(name)
        usual = method.Params.model_validate(method.presets[preset] if preset else {}).model_dump(mode="json")
        return {"device": "auto"} | usual  # older cells have the device of the run among their parameters
    except (ZslbenchError, KeyError, ValidationError):
        return None


def make_row(records: Sequence[Record], defaults: Defaults = registered_defaults) -> Row:
    """Return the row of the records of one group of :func:`group_cells`."""
    newest = max(records, key=lambda record: record.result.finished)
    cell = newest.cell
    done = finished_cells(records)
    by_split = grouped(done, lambda record: record.cell.split_digest)
    counts = Counts(done) if done else None
    chosen = chosen_parameters(cell, defaults)
    return Row(
        table=table_of(cell),
        name=row_name(cell, chosen, newest.origin),
        method=cell.method,
        label=cell.label,
        params=cell.params,
        chosen=chosen,
        budget=tuple(cell.budget),
        simulated=cell.simulated,
        reconstruction=cell.reconstruction,
        version=f"{cell.method_digest[:6]}+{cell.features_digest[:6]}",
        seeds=tuple(sorted({r.cell.seed for r in records})),
        n_splits=len(by_split),
        n_done=sum(max(r.cell.repeats for r in split) for split in by_split.values()),
        n_all=cell.family_size,
        splits=frozenset(by_split),
        figures=_figures(counts, [by_split[key] for key in counts.splits], cell.protocol) if counts else {},
        failures=dict(Counter(why for record in records if (why := _without_figures(record)))),
        finished=newest.result.finished,
        counts=counts,
        features_digest=cell.features_digest,
        reads_seed=any(map(_read_seed, done)),
        checked=all(map(passed_checks, records)),
        pooled=cell.pooled,
        origin=newest.origin,
        control=cell.control or "",
    )


def finished_cells(records: Iterable[Record]) -> list[Record]:
    """Return the records that have figures; with one unseen class, every method is right, so there are none."""
    return [r for r in records if r.result.classes is not None and not _without_figures(r)]


def _without_figures(record: Record) -> str:
    if record.result.state is not State.DONE:
        return record.result.state.value
    counts = record.result.classes
    alone = (
        counts is not None and PROTOCOLS[record.cell.protocol].tested in ("unseen", "both") and sum(counts.unseen) < 2
    )
    return ONE_UNSEEN if alone else ""


def shown_metrics(record: Record) -> dict[str, float]:
    """Return the metrics of a cell without those that are right by construction (older cells have them)."""
    result = record.result
    if _without_figures(record):
        return {}
    few = result.classes is not None and len(result.classes.names) <= TOP
    return {name: value for name, value in result.metrics.items() if not (few and name.startswith("top5"))}


def _read_seed(record: Record) -> bool:
    known = record.result.reads_seed
    return bool(record.result.epochs) if known is None else known  # older cells: a method with epochs is trained


def chosen_parameters(cell: Cell, defaults: Defaults = registered_defaults) -> dict[str, Any]:
    """Return the parameters of a cell that are not defaults; none of a local method, whose cells name their variant."""
    usual = None if cell.local else defaults(cell.label)
    return {} if usual is None else {k: v for k, v in cell.params.items() if k not in usual or usual[k] != v}


def variant_name(cell: Cell, chosen: Mapping[str, Any]) -> str:
    """Return a method's label with its chosen parameters and its control."""
    parameters = ", ".join(f"{key}={_text(value)}" for key, value in sorted(chosen.items()))
    parameters = parameters or (cell.variant if cell.local else "")
    return cell.label + (f" ({parameters})" if parameters else "") + cell.control_mark


def row_name(cell: Cell, chosen: Mapping[str, Any], origin: str = "") -> str:
    """Return a method's label with its chosen parameters and all marks, such as ``[simulated]``."""
    imported = f" [imported: {origin}]" if origin else ""
    marks = (" [simulated]" if cell.simulated else "") + (" [reconstruction]" if cell.reconstruction else "")
    texts = f" [texts {cell.texts}]" if cell.texts not in (None, SHIPPED) else ""
    attributes = f" [attributes {cell.attributes}]" if cell.attributes not in (None, DERIVED) else ""
    auxiliary = f" [with {cell.auxiliary.title}]" if cell.auxiliary else ""
    calibrated = "" if cell.calibrate else " [not calibrated]"
    return variant_name(cell, chosen) + texts + attributes + auxiliary + calibrated + imported + marks + cell.local_mark


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else canonical_json(value)


def _figures(counts: Counts, splits: list[list[Record]], protocol: Protocol) -> dict[str, float]:
    """Return means over splits, each the mean over its seeds, with intervals and spreads from the counts per class."""
    rules = PROTOCOLS[protocol]
    offered = counts.unseen if rules.tested == "unseen" else counts.scored > 0
    few = offered.sum(axis=1).min() <= TOP
    names = [name for name in rules.figures if not (few and name == "top5")]
    found = {name: estimate(counts.top5 if name == "top5" else counts.top1, counts.scored, name, counts.unseen)
             for name in names}  # fmt: skip
    first = found[names[0]]
    figures = {name: each.mean for name, each in found.items()}
    figures |= {"low": first.low, "high": first.high, "split_std": first.split_std}
    for name in _PASSED_ON:
        values = [[r.result.metrics[name] for r in split if name in r.result.metrics] for split in splits]
        if all(values) and not (few and name.startswith("top5")):
            figures[name] = sum(sum(seeds) / len(seeds) for seeds in values) / len(values)
    seconds = [r.result.fit_seconds for split in splits for r in split if r.result.fit_seconds is not None]
    if seconds:
        figures["fit_seconds"] = float(np.mean(seconds))
    return figures


def current_rows(
    records: Iterable[Record], *, all_versions: bool = False, defaults: Defaults = registered_defaults
) -> tuple[list[tuple[Row, Group]], list[str]]:
    """Return rows with their records, and the names of rows of older code or data that were left out.

    Bundles do not hide what ran here. The data of a table are those of its newest cell that ran here, if there is one.
    The newest code of a method is found for each origin alone.

    The parameters are those of :func:`zslbench.leaderboard.board.build_rows`.
    """
    groups = list(group_cells(records).values())
    kept = groups
    if not all_versions:
        kept = _newest(kept, lambda record: table_of(record.cell), data_version)
        kept = _newest(kept, lambda record: (record.origin, table_of(record.cell), record.cell.method), code_version)
    looked_up = cache(defaults)  # finding a plugin takes milliseconds
    rows = _distinguished([make_row(group, looked_up) for group in kept], kept)
    shown = {id(group) for group in kept}
    left_out = [group[0] for group in groups if id(group) not in shown]
    hidden = [row_name(first.cell, chosen_parameters(first.cell, looked_up), first.origin) for first in left_out]
    return list(zip(rows, kept, strict=True)), hidden


def _newest(
    groups: list[Group], place: Callable[[Record], Hashable], version: Callable[[Cell], Hashable]
) -> list[Group]:
    """Return the groups of the version that ran last in their place; one that ran here comes before imported ones."""
    last: dict[Hashable, tuple[tuple[bool, float], Hashable]] = {}
    for group in groups:
        first, when = group[0], (not group[0].origin, max(record.result.finished for record in group))
        if when > last.get(place(first), ((False, -math.inf), None))[0]:
            last[place(first)] = when, version(first.cell)
    return [group for group in groups if last[place(group[0])][1] == version(group[0].cell)]


def _distinguished(rows: list[Row], groups: list[Group]) -> list[Row]:
    """Give rows of one table and name the parameters that differ between them, else their versions."""
    cells = {id(row): group[0].cell for row, group in zip(rows, groups, strict=True)}
    for same in grouped(rows, lambda row: (row.table, row.name)).values():
        if len(same) == 1:
            continue
        differing = [k for k in same[0].params if any(row.params.get(k) != same[0].params[k] for row in same)]
        versions = len({row.version for row in same}) > 1
        for row in same:
            chosen = row.chosen | {key: row.params[key] for key in differing if key in row.params}
            name = row_name(cells[id(row)], chosen, row.origin) + (f" @{row.version}" if versions else "")
            rows[rows.index(row)] = replace(row, chosen=chosen, name=name)
    return rows
