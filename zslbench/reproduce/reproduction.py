"""Plan a paper's experiments as cells, and compare its published figures with their results."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from zslbench.audit.inputs import marks
from zslbench.cells.cell import Cell
from zslbench.cells.rows import Key, Row, make_row, row_key
from zslbench.cells.store import Record, Store
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import SIMULATED, FeatureSet
from zslbench.leaderboard.agreement import (
    ONLY_SIMULATED,
    Agreement,
    compare_with_published,
    other_protocol,
    same_class_vectors,
    same_extractor,
)
from zslbench.ledger.papers import Paper, Ratio, TableRow
from zslbench.ledger.published import Published, published_results
from zslbench.registry import parse_label
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import Plan, make_plan
from zslbench.run.sources import Simulate, imported_features


@dataclass(frozen=True)
class PaperTask:
    """One entry of the paper's main table: its row, ratio and dataset, and the cells that it averages.

    ``why`` is the reason if there are no cells.

    Examples
    --------
    >>> from zslbench.ledger.papers import get_paper
    >>> paper = get_paper("action2vec")
    >>> PaperTask(paper.rows[0], paper.ratios[0], "ucf101", why="no features").cells
    ()
    """

    row: TableRow
    ratio: Ratio
    dataset: str
    family: str = ""
    cells: tuple[Cell, ...] = ()
    why: str = ""


@dataclass
class Reproduction:
    """The experiments of a paper that are run, with their inputs.

    Attributes
    ----------
    features
        Dataset -> its feature set.
    skipped
        Dataset of the paper -> why it is not run.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.simulated import simulate
    >>> from zslbench.ledger.papers import get_paper
    >>> paper = get_paper("action2vec")
    >>> small = lambda dataset: simulate(dataset, videos_per_class=2)
    >>> made = prepare("action2vec", paper, datasets=["hmdb51"], quick=True, simulate=small)
    >>> made.folder, len(made.tasks) == len(paper.rows) * len(paper.ratios)
    ('action2vec-hmdb51@simulated-quick', True)
    """

    name: str
    paper: Paper
    quick: bool
    semantics: str
    seed: int
    splits: str
    features: dict[str, FeatureSet] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    tasks: list[PaperTask] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)

    @property
    def simulated(self) -> bool:
        """Whether any cell runs on simulated features."""
        return self.plan.simulated

    @property
    def datasets(self) -> list[str]:
        """The paper's datasets, then other requested ones."""
        return list(dict.fromkeys([*self.paper.datasets, *self.features]))

    @cached_property
    def folder(self) -> str:
        """Name of the folder of its tables."""
        chosen = "+".join(f"{name}@{found.manifest.name}" for name, found in self.features.items())
        return f"{self.name}-{chosen}{'-quick' if self.quick else ''}"

    def file(self, stem: str, suffix: str) -> str:
        """Return a file's name, which ends in ``-quick`` after a quick run."""
        return f"{stem}{'-quick' if self.quick else ''}.{suffix}"

    def same_features(self, dataset: str) -> bool:
        """Return whether the features of a dataset come from the paper's extractor, trained on the paper's data."""
        wanted = self.paper.features
        return same_extractor(self.features[dataset].manifest, wanted.extractor, wanted.trained_on)

    @property
    def same_class_vectors(self) -> bool:
        """Whether the class vectors are of the paper's kind; their corpus may be another."""
        return same_class_vectors(self.semantics, self.paper.class_vectors.name)

    def not_comparable(self, dataset: str, *, features: bool = True, class_vectors: bool = True) -> str:
        """Return why no figure on a dataset is compared with the paper's; empty if it is.

        Parameters
        ----------
        features, class_vectors
            Whether the figure depends on the features, and on the class vectors.
        """
        found = self.features[dataset]
        if found.manifest.simulated:
            return ONLY_SIMULATED
        if self.quick:
            return "quick settings are not the paper's"
        if features and not self.same_features(dataset):
            return f"on features of {found.manifest.extractor}, the paper: {self.paper.features.text}"
        if class_vectors and not self.same_class_vectors:
            return f"with class vectors {self.semantics}, the paper: {self.paper.class_vectors.text}"
        if len(found.covered) < len(found.dataset.classes):
            return f"on {len(found.covered)} of {len(found.dataset.classes)} classes"
        return ""

    def experiment(self, row: TableRow, dataset: str, family: str, splits: str) -> Plan:
        """Return the cells of one row on one family."""
        name, _ = parse_label(row.method)
        values = {**row.set, **(self.paper.quick.set.get(name, {}) if self.quick else {})}
        settings = {
            "method": row.method, "dataset": dataset, "features": self.features[dataset].manifest.name,
            "semantics": self.semantics, "family": family, "splits": splits, "seed": self.seed,
            "set": {row.method: values} if values else {},
        }  # fmt: skip
        return make_plan(make_experiment(settings))


def prepare(
    name: str,
    paper: Paper,
    *,
    datasets: Sequence[str] = (),
    features: str | None = None,
    semantics: str = "minilm",
    splits: str | None = None,
    quick: bool = False,
    seed: int = 0,
    simulate: Simulate | None = None,
) -> Reproduction:
    """Plan a reproduction; open and check all its inputs.

    Parameters
    ----------
    datasets
        Datasets to run on; by default all of the paper's that have features.
    features
        Name of the feature set; by default each dataset's only imported one.
    splits
        As in ``zslbench run``, but a number larger than a family means the whole family; by default the paper's number.
    quick
        Whether to use the paper's quick settings.
    simulate
        Function from a dataset to its simulated features, for requested datasets without other features.

    Raises
    ------
    ZslbenchError
        Nothing can run, or a setting or an input is unknown or does not match; the message names the remedy.
    """
    usual = paper.quick.splits if quick else paper.splits
    made = Reproduction(name, paper, quick, semantics, seed, splits or usual)
    for dataset_name in datasets or paper.datasets:
        # Simulated features only for datasets that the user names, since a reproduction on them says nothing.
        found = _features(get_dataset(dataset_name), features, simulate if datasets else None)
        if found is not None:
            made.features[dataset_name] = found
    if not made.features:
        raise ZslbenchError(
            f"none of {', '.join(paper.datasets)} has imported features; import some with 'zslbench features import "
            "DATASET NAME --features FILE --videos CSV', or run on simulated ones with --dataset NAME."
        )
    for dataset_name in paper.datasets:
        if dataset_name not in made.features:
            there = bool(imported_features(get_dataset(dataset_name)))
            made.skipped[dataset_name] = "not requested" if there else "no features"
    for dataset_name in made.features:
        for ratio in paper.ratios:
            made.tasks += _tasks(made, dataset_name, ratio)
    made.plan.simulated = any(found.manifest.simulated for found in made.features.values())
    cells = {cell.id: cell for task in made.tasks for cell in task.cells}
    made.plan.cells = sorted(cells.values(), key=lambda cell: cell.split)
    return made


def _features(dataset: Dataset, name: str | None, simulate: Simulate | None) -> FeatureSet | None:
    """Return the feature set to run on; if there is none, the simulated one, provided that ``simulate`` is given."""
    there = imported_features(dataset)
    if name is None and len(there) > 1:
        raise ZslbenchError(f"{dataset.name} has several feature sets; choose with --features: {', '.join(there)}.")
    chosen = name or (there[0] if there else SIMULATED)
    if chosen == SIMULATED:
        return simulate(dataset) if simulate else None
    return open_features(dataset, chosen) if chosen in there or simulate else None


def _tasks(made: Reproduction, dataset_name: str, ratio: Ratio) -> Iterable[PaperTask]:
    """Yield one task per row of the main table."""
    dataset, features = get_dataset(dataset_name), made.features[dataset_name]
    family, size, why = _family(dataset, features, ratio)
    for row in made.paper.rows:
        if why:
            yield PaperTask(row, ratio, dataset_name, why=why)
            continue
        splits = str(min(int(made.splits), size)) if made.splits.isdigit() else made.splits
        plan = made.experiment(row, dataset_name, family, splits)
        made.plan.notices += plan.notices
        yield PaperTask(row, ratio, dataset_name, family, tuple(plan.cells))


def _family(dataset: Dataset, features: FeatureSet, ratio: Ratio) -> tuple[str, int, str]:
    """Return the first family that can be run and its size, or the reason why there is none."""
    for name in ratio.families:
        if name not in dataset.family_names:
            continue
        with contextlib.suppress(ZslbenchError):  # the features have too few classes; the next family may need fewer
            family = dataset.family(name, features.covered)
            family.check_coverage(features.covered, features.title)
            if not family.one_unseen:
                return name, len(family), ""
    return "", 0, f"{features.title} covers too few classes for {' or '.join(ratio.families)}"


@dataclass(frozen=True)
class Entry:
    """A task with its outcome.

    Examples
    --------
    >>> from zslbench.ledger.papers import get_paper
    >>> paper = get_paper("action2vec")
    >>> task = PaperTask(paper.rows[0], paper.ratios[0], "ucf101", why="no features")
    >>> Entry(task, None, compare_with_published(None, None, not_run=task.why)).comparison.status
    'not run'
    """

    task: PaperTask
    row: Row | None
    comparison: Agreement


def entries(made: Reproduction, store: Store) -> list[Entry]:
    """Return every task with its stored results, and entries of the datasets that were not run."""
    skipped = [
        PaperTask(row, ratio, dataset, why=why)
        for dataset, why in made.skipped.items()
        for ratio in made.paper.ratios
        for row in made.paper.rows
    ]
    stored = {
        cell.id: record
        for task in made.tasks
        for cell in task.cells
        if isinstance(record := store.find(cell.id), Record)
    }
    codes = marks(stored.values())
    return [_entry(made, task, stored, codes) for task in [*made.tasks, *skipped]]


def _entry(
    made: Reproduction, task: PaperTask, stored: Mapping[str, Record], codes: Mapping[Key, tuple[str, ...]]
) -> Entry:
    published = published_figure(made.paper, task.row.published, task.dataset, protocol=task.ratio.name)
    records = [stored[cell.id] for cell in task.cells if cell.id in stored]
    row = make_row(records) if records else None
    if row is None or "top1" not in row.figures:
        why = task.why or (f"{len(records)} cells failed" if records else "not run yet")
        return Entry(task, row, compare_with_published(published, None, not_run=why))
    row = replace(row, codes=codes.get(row_key(records[0]), ()))
    top1, low, high = (100 * row.figures[name] for name in ("top1", "low", "high"))
    why = made.not_comparable(task.dataset) or other_protocol(row, published)
    return Entry(task, row, compare_with_published(published, top1, low, high, not_comparable=why))


def paper_figures(paper: Paper) -> list[Published]:
    """Return the rows of the ledger from the paper itself."""
    return [row for row in published_results() if row.source.startswith(paper.source)]


def published_figure(paper: Paper, system: str, dataset: str, **fields: str) -> Published | None:
    """Return the paper's first figure of a system on a dataset with these other fields, or ``None``."""
    wanted = {"system": system, "dataset": dataset, **fields}.items()
    return next((row for row in paper_figures(paper) if all(getattr(row, k) == v for k, v in wanted)), None)
