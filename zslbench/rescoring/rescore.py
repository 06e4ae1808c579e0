"""Read the kept scores of methods with other classes on offer and other lists of test videos, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zslbench.audit.inputs import marks
from zslbench.cells.cell import Cell, ClassCounts, State
from zslbench.cells.kept_scores import read_all_scores
from zslbench.cells.rows import Key, Row, code_version, current_rows, grouped, marked, row_key
from zslbench.cells.store import Record, Store
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import ALL_VIDEOS, VideoChoice
from zslbench.datasets.video_ids import video_key
from zslbench.digests import canonical_json
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureSet
from zslbench.rescoring.dependence import dependence
from zslbench.rescoring.readings import OfficialLists, Reading, find_reading, usual_readings
from zslbench.rescoring.sources import Source, merged
from zslbench.run.trained import trains
from zslbench.stats.intervals import Float64Array, estimate
from zslbench.stats.metrics import TOP

REMEDY = "run its command again with --keep-scores --rerun all"


@dataclass(frozen=True)
class Rescored:
    """The figures of one reading of a method's scores.

    Attributes
    ----------
    n_read
        Number of distinct label spaces that the figures are means of.
    n_classes, n_videos
        Numbers of classes on offer, and of videos, in a label space; means over the label spaces.
    figures
        Name -> share: ``top1``, ``low`` and ``high`` (95 % interval over classes), ``split_std`` over label spaces
        (ddof=1), ``top1_per_class``, ``top5``, ``chance``. There is no ``split_std`` of one label space, and no
        ``top5`` with five classes or fewer.
    undecided
        Videos that are right or wrong by the order of scores that rounding made equal, in all label spaces.

    Examples
    --------
    >>> from zslbench.rescoring.readings import LabelSpace
    >>> reading = Reading("mine", (LabelSpace(("run", "wave")),), 1)
    >>> counts = ClassCounts(names=("run", "wave"), unseen=(True,) * 2, scored=(4, 4), top1=(2, 4), top5=(4, 4))
    >>> rescored(reading, [[counts]]).figures["top1"]
    0.75
    """

    reading: Reading
    n_read: int
    n_classes: float
    n_videos: float
    figures: dict[str, float]
    undecided: int = 0


@dataclass(frozen=True)
class Rescoring:
    """All readings of one method's scores.

    Attributes
    ----------
    row
        One of the method's rows; its table names the splits if the method has trained.
    trained
        Whether the scores depend on seen classes, so that only unseen ones can be read.
    rows
        What could be read.
    refused
        Name of a reading -> why it could not.

    Examples
    --------
    >>> from pathlib import Path
    >>> rescore(Store(Path("results/runs")), [])
    Traceback (most recent call last):
    zslbench.errors.NotFoundError: none of these cells kept the scores of all classes; run the command again ...
    """

    row: Row
    trained: bool
    rows: tuple[Rescored, ...]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """One line above the table."""
        table = self.row.table
        inputs = f"{self.row.name} on {table.dataset}@{table.features}, class vectors {table.semantics}"
        return f"{inputs}, trained in {table.protocol} {table.family}" if self.trained else inputs


def rescore(
    store: Store,
    records: Iterable[Record],
    names: Sequence[str] = (),
    *,
    show: Callable[[int, int], None] | None = None,
) -> list[Rescoring]:
    """Return the readings of each method that kept its scores.

    Parameters
    ----------
    records
        Stored cells; older code and older data are left out, as in the leaderboard.
    names
        Readings (:mod:`zslbench.rescoring.readings`); the usual ones of each dataset by default.
    show
        Takes the numbers of read and of all methods.

    Raises
    ------
    ZslbenchError
        No cell kept its scores, kept scores are damaged, or there is no such reading.
    """
    methods = _by_method(records)
    found = []
    for i, (is_trained, pairs) in enumerate(methods):
        rescoring = _read_method(store, is_trained, pairs, names)
        found += [rescoring] if rescoring else []
        if show:
            show(i + 1, len(methods))
    if not found:
        raise NotFoundError(f"none of these cells kept the scores of all classes; {REMEDY.replace('its', 'the')}.")
    return found


def _by_method(records: Iterable[Record]) -> list[tuple[bool, list[tuple[Row, list[Record]]]]]:
    """Return whether a method trained, and its rows: those of all families for one that has not."""
    pairs, _ = current_rows(records)
    shown = marks(record for _, group in pairs for record in group)

    def key(pair: tuple[Row, list[Record]]) -> Key:
        cell = pair[1][0].cell
        return trains(cell), *_inputs(cell, pair[1][0].origin), pair[0].table if trains(cell) else None

    methods = []
    for (is_trained, *_), same in grouped(pairs, key).items():
        codes = tuple(sorted({code for _, group in same for code in shown.get(row_key(group[0]), ())}))
        methods.append((is_trained, [(marked(row, codes), group) for row, group in same]))
    return methods


def _inputs(cell: Cell, origin: str) -> Key:
    digests = cell.classes_digest, cell.features_digest, cell.semantics_digest, cell.recipe
    names = origin, cell.dataset, cell.features, cell.semantics, cell.method
    return *names, *digests, code_version(cell), canonical_json(cell.params), canonical_json(cell.extras)


def _read_method(
    store: Store, is_trained: bool, pairs: list[tuple[Row, list[Record]]], names: Sequence[str]
) -> Rescoring | None:
    """Return the readings of one method; ``None`` if none of its cells kept scores."""
    row, (first, *_) = pairs[0]
    done = [each for _, records in pairs for each in records if each.result.state is State.DONE]
    dataset = get_dataset(first.cell.dataset)
    if dataset.digest != first.cell.classes_digest:
        raise ZslbenchError(f"{dataset.name} has other classes on this machine than {row.name} was run with.")
    features = _features(first.cell)
    covered = tuple(features.covered) if features else None
    lists, choices = OfficialLists(dataset.name, features), _Choices(dataset, covered)
    wanted = [find_reading(dataset, name, covered, lists) for name in names or usual_readings(dataset, lists)]
    if why := next(filter(None, map(dependence, done)), ""):
        return Rescoring(row, is_trained, (), {reading.name: why for reading in wanted})
    by_seed: dict[int, list[Source]] = {}
    for record in done:
        if (source := _source(store, record, lists, choices)) is not None:
            by_seed.setdefault(record.cell.seed, []).append(source)
    if not by_seed:
        return None
    try:
        sources = list(by_seed.values()) if is_trained else [merged(each) for each in by_seed.values()]
    except ZslbenchError as error:
        return Rescoring(row, is_trained, (), {reading.name: str(error) for reading in wanted})
    read, refused = list[Rescored](), dict[str, str]()
    for reading in wanted:
        found, why = _read(reading, sources, is_trained=is_trained)
        if found is None:
            refused[reading.name] = why
        else:
            read.append(found)
    return Rescoring(row, is_trained, tuple(read), refused)


def _features(cell: Cell) -> FeatureSet | None:
    """Return a cell's feature set; ``None`` if it is not on this machine."""
    try:
        features = open_features(get_dataset(cell.dataset), cell.features)
    except ZslbenchError:
        return None
    return features if features.manifest.digest == cell.features_digest else None


class _Choices:
    """Which videos the splits of cells choose; each family is made once."""

    def __init__(self, dataset: Dataset, covered: Sequence[str] | None) -> None:
        self._dataset, self._covered = dataset, covered
        self._families: dict[str, dict[str, VideoChoice | None]] = {}

    def of(self, cell: Cell) -> VideoChoice | None:
        """Return the choice of a cell's split; ``None`` for all videos, or if this machine has no such split."""
        if cell.family not in self._families:
            try:
                splits = find_family(self._dataset, cell.family, self._covered).splits
            except ZslbenchError:
                splits = ()
            self._families[cell.family] = {split.digest: split.videos for split in splits}
        return self._families[cell.family].get(cell.split_digest)


def _source(store: Store, record: Record, lists: OfficialLists, choices: _Choices) -> Source | None:
    """Return the scores of a cell, or ``None`` if it kept none."""
    try:
        scores = read_all_scores(store.folder(record))
    except NotFoundError:
        return None
    except ZslbenchError as error:
        raise ZslbenchError(f"the scores of cell {record.cell.id} are damaged ({error}); {REMEDY}.") from error
    choice = choices.of(record.cell)
    if choice and choice.list != ALL_VIDEOS:
        return Source(scores, frozenset(), frozenset({choice.list}) & {*lists.names})  # others have the videos of these
    # Where all videos are on one test list, others of these classes may be missing.
    around = lists.around(set(map(video_key, scores.videos))) if choice is None else frozenset()
    unseen = np.array(scores.classes)[scores.unseen]
    return Source(scores, frozenset() if around else frozenset(unseen.tolist()), around)


def _read(reading: Reading, seeds: list[list[Source]], *, is_trained: bool) -> tuple[Rescored | None, str]:
    """Return the figures of a reading over all label spaces that can be read, or why the first cannot be."""
    counts, undecided, why = [], 0, ""
    for space in reading.spaces:
        of_space = []
        for sources in seeds:
            refusals = [source.refusal(space, trains=is_trained) for source in sources]
            fitting = [source for source, refusal in zip(sources, refusals, strict=True) if not refusal]
            # The cell of this very split, if there is one. All others that were not trained on a class are as good.
            exact = [source for source in fitting if source.unseen == set(space.classes)]
            chosen = exact or (fitting if is_trained else fitting[:1])
            why = why or ("" if chosen else min(refusals, key=len))
            for source in chosen:
                found, hanging = source.read(space)
                of_space.append(found)
                undecided += hanging
        if of_space:
            counts.append(of_space)
    return (rescored(reading, counts, undecided), "") if counts else (None, why)


def rescored(reading: Reading, counts: Sequence[Sequence[ClassCounts]], undecided: int = 0) -> Rescored:
    """Return the figures of a reading.

    Parameters
    ----------
    counts
        For each label space the counts of its cells, such as those of several seeds, which are added up.
    """
    names = sorted({name for cells in counts for cell in cells for name in cell.names})
    scored, top1, top5 = (_matrix(counts, names, part) for part in ("scored", "top1", "top5"))
    first = estimate(top1, scored, "top1")
    sizes = [len(cells[0].names) for cells in counts]
    figures = {
        "top1": first.mean, "low": first.low, "high": first.high, "chance": float(np.mean([1 / n for n in sizes])),
        "top1_per_class": estimate(top1, scored, "top1_per_class").mean,
    }  # fmt: skip
    if len(counts) > 1:
        figures["split_std"] = first.split_std
    if min(sizes) > TOP:
        figures["top5"] = estimate(top5, scored, "top5").mean
    n_videos = float(np.mean([sum(cells[0].scored) for cells in counts]))
    return Rescored(reading, len(counts), float(np.mean(sizes)), n_videos, figures, undecided)


def _matrix(counts: Sequence[Sequence[ClassCounts]], names: list[str], part: str) -> Float64Array:
    """Return (n_spaces, n_classes) sums over the cells of each label space."""
    place = {name: i for i, name in enumerate(names)}
    matrix: NDArray[np.float64] = np.zeros((len(counts), len(names)))
    for i, cells in enumerate(counts):
        for cell in cells:
            matrix[i, [place[name] for name in cell.names]] += getattr(cell, part)
    return matrix
