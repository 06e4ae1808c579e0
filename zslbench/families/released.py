"""Read the split files of the GZSL literature: ``att_splits.mat``, whose numbers are rows of a features' file.

``trainval_loc`` trains, ``test_seen_loc`` and ``test_unseen_loc`` are tested, and ``train_loc`` with ``val_loc`` is the
authors' own validation. The features' file says the class and the id of each row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from zslbench.datasets.catalog import get_dataset, working_datasets
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.matlab import Variable, read_matlab
from zslbench.datasets.splits import Split, VideoChoice
from zslbench.datasets.video_ids import VideoList
from zslbench.errors import ZslbenchError, some
from zslbench.features.catalog import open_features
from zslbench.features.named_videos import named_videos
from zslbench.videos import IntArray

TRAIN, SEEN, UNSEEN = "trainval_loc", "test_seen_loc", "test_unseen_loc"
_OWN_TRAIN, _OWN_TEST = "train_loc", "val_loc"
_NAMES, _LABELS = "allclasses_names", ("labels", "label")
_REMEDY = (
    "name the features' file that has 'labels' and 'image_files' with --features FILE.mat, or the feature set that was "
    "imported from it with --features NAME"
)


@dataclass(frozen=True)
class FileRows:
    """The id and the class of each row of a features' file.

    Examples
    --------
    >>> FileRows("i3d.mat", ("a", "b"), ("run", "walk")).classes_of(np.array([1]))
    {'walk'}
    """

    title: str
    ids: tuple[str, ...]
    classes: tuple[str, ...]

    def classes_of(self, rows: IntArray) -> set[str]:
        """Return the classes of some rows, counted from 0."""
        return {self.classes[row] for row in rows.tolist()}


@dataclass(frozen=True)
class Release:
    """One split file: its checked rows, counted from 0, with the classes of these.

    Attributes
    ----------
    locs
        Name -> rows; those that the file lacks, or has without a row, are left out.

    Examples
    --------
    >>> rows = FileRows("i3d.mat", ("a", "b"), ("run", "walk"))
    >>> release = Release("att_splits.mat", rows, {"trainval_loc": np.array([0]), "test_unseen_loc": np.array([1])})
    >>> release.split(lists=False).unseen, release.is_whole
    (('walk',), True)
    """

    file: str
    rows: FileRows
    locs: Mapping[str, IntArray] = field(default_factory=dict)

    def of(self, name: str) -> IntArray:
        """Return the rows of a name; none if the file lacks it."""
        return self.locs.get(name, np.zeros(0, dtype=np.int64))

    @cached_property
    def validation(self) -> set[str]:
        """The classes of ``val_loc`` that ``train_loc`` lacks."""
        own = self.rows.classes_of(self.of(_OWN_TRAIN))
        return self.rows.classes_of(self.of(_OWN_TEST)) - own if own else set()

    @property
    def is_whole(self) -> bool:
        """Whether all videos of the seen classes train, and all of the unseen ones are tested."""
        named = np.concatenate([self.of(TRAIN), self.of(UNSEEN)])
        classes = self.rows.classes_of(named)
        return not len(self.of(SEEN)) and len(named) == sum(name in classes for name in self.rows.classes)

    def split(self, *, lists: bool) -> Split:
        """Return the split of the test, with its list of videos if ``lists``."""
        return self._split(self.of(TRAIN), np.concatenate([self.of(SEEN), self.of(UNSEEN)]), lists=lists)

    def own_validation(self, *, lists: bool) -> Split:
        """Return the split of the authors' validation."""
        test = [row for row in self.of(_OWN_TEST).tolist() if self.rows.classes[row] in self.validation]
        return self._split(self.of(_OWN_TRAIN), np.array(test, dtype=np.int64), lists=lists)

    def _split(self, train: IntArray, test: IntArray, *, lists: bool) -> Split:
        seen = self.rows.classes_of(train)
        ids, classes = self.rows.ids, self.rows.classes
        trained, tested = (tuple(ids[row] for row in side.tolist()) for side in (train, test))
        used = np.concatenate([train, test]).tolist()
        own = VideoList("own", trained, tested, class_of={ids[row]: classes[row] for row in used}) if lists else None
        unseen = self.rows.classes_of(test) - seen
        return Split(tuple(seen), tuple(unseen), videos=VideoChoice.of(own) if own else None)


def is_release(content: Mapping[str, Variable]) -> bool:
    """Return whether a MATLAB file has the rows of a split."""
    return any(name in content for name in (TRAIN, SEEN, UNSEEN, _OWN_TRAIN))


def read_releases(
    files: Sequence[Path], roots: Sequence[Path], dataset: str | None, features: str | None
) -> tuple[Dataset, list[Release], list[str]]:
    """Return the dataset of split files, what each says, and notes.

    Parameters
    ----------
    files, roots
        The split files, and the folder that each was found in.
    dataset
        Its name; by default the one whose classes are ``allclasses_names``.
    features
        The file of the features, a folder with one per split file, or the name of a feature set that was imported from
        it. Not needed if the split files have ``labels`` and ``image_files`` themselves.

    Raises
    ------
    ZslbenchError
        FileRows or classes contradict each other, or are not in the features' file.
    """
    contents = [read_matlab(file) for file in files]
    found = get_dataset(dataset) if dataset else _dataset_of(files[0], contents[0])
    known: dict[tuple[object, ...], FileRows] = {}
    releases, notes = [], []
    for file, root, content in zip(files, roots, contents, strict=True):
        names = content.get(_NAMES)
        source = _source(file, root, content, features)
        key = (source, tuple(names) if isinstance(names, list) else None)
        if key not in known:
            known[key] = _rows(found, source, file if isinstance(names, list) else None)
        releases.append(_release(file.name, content, known[key]))
    for one in dict.fromkeys(known.values()):
        notes.append(f"rows are those of {one.title}, {len(one.ids):,} videos of {len(set(one.classes))} classes")
    unused = min(_unused(each) for each in releases)
    if unused:
        notes.append(f"{unused:,} rows or more of each split neither train nor are tested")
    if not all(_OWN_TRAIN in each.locs and _OWN_TEST in each.locs for each in releases):
        notes.append(f"no validation classes: {_OWN_TRAIN} or {_OWN_TEST} is missing")
    elif not all(each.validation for each in releases):
        notes.append(f"no validation classes: those of {_OWN_TEST} are in {_OWN_TRAIN} too")
    return found, releases, notes


def _unused(release: Release) -> int:
    return len(release.rows.ids) - sum(len(release.of(name)) for name in (TRAIN, SEEN, UNSEEN))


def _dataset_of(file: Path, content: Mapping[str, Variable]) -> Dataset:
    names = content.get(_NAMES)
    if isinstance(names, list):
        for each in working_datasets():
            if len(names) == len(each.classes) and {each.find_class(name) for name in names} == set(each.classes):
                return each
    raise ZslbenchError(f"{file.name} does not say which dataset it splits; name it with --dataset, such as ucf101.")


def _source(file: Path, root: Path, content: Mapping[str, Variable], features: str | None) -> Path | str:
    """Return the file that says the class and id of each row, or the name of a feature set."""
    if features is None:
        if any(name in content for name in _LABELS) and _paths(content):
            return file
        raise ZslbenchError(
            f"{file.name} has rows of a features' file, which says the class and id of each; {_REMEDY}."
        )
    path = Path(features)
    if path.is_file() and path.suffix.lower() != ".mat":
        raise ZslbenchError(
            f"--features {features} is no MATLAB file; import it with 'zslbench features import', and give the name of "
            "that feature set with --features."
        )
    if not path.is_dir():
        return path if path.suffix.lower() == ".mat" else features
    beside = path / file.parent.relative_to(root)
    there = [each for each in sorted(beside.glob("*.mat")) if each != file and not is_release(read_matlab(each))]
    if len(there) != 1:
        raise ZslbenchError(
            f"{beside} has {len(there)} MATLAB files of features for {file.name}, not one; name one for all splits "
            "with --features FILE.mat."
        )
    return there[0]


def _paths(content: Mapping[str, Variable]) -> list[str] | None:
    """Return the paths or ids of the rows: ``image_files``, or the only other texts."""
    texts = {name: value for name, value in content.items() if isinstance(value, list) and name != _NAMES}
    if "image_files" in texts or not texts:
        return texts.get("image_files")
    n = next((np.size(content[name]) for name in _LABELS if name in content), 0)
    fitting = [value for name, value in texts.items() if len(value) == n and name not in _LABELS]
    return fitting[0] if len(fitting) == 1 else None


def _rows(dataset: Dataset, source: Path | str, names: Path | None) -> FileRows:
    """Return the rows of a features' file, whose labels count the classes in the order of ``names``, or of a set."""
    if isinstance(source, str):
        features = open_features(dataset, source)
        classes = [dataset.classes[label] for label in features.labels.tolist()]
        return FileRows(f"{dataset.name}@{source}", tuple(features.ids), tuple(classes))
    content = read_matlab(source)
    labels = next((content[name] for name in _LABELS if name in content), None)
    paths = _paths(content)
    if paths is None:
        raise ZslbenchError(
            f"{source.name} has no paths of its videos ('image_files'), so that the rows have no ids; import its "
            "features with a CSV in the order of its rows, and give the name of that feature set with --features."
        )
    texts = [path.replace("\\", "/") for path in paths]
    given = labels if isinstance(labels, list) else _numbers(source.name, labels, names, dataset, len(texts))
    if len(given) != len(texts):
        raise ZslbenchError(f"{source.name} has {len(given):,} labels, but {len(texts):,} paths; save it again.")
    ids, classes = named_videos(dataset, source, list(zip(texts, given, strict=True)), names)
    return FileRows(source.name, tuple(ids), tuple(classes))


def _numbers(file: str, labels: Variable | None, names: Path | None, dataset: Dataset, n: int) -> list[str]:
    if labels is None:
        return [""] * n
    values = np.ravel(labels)
    if not np.array_equal(values, np.round(values)):
        raise ZslbenchError(f"{file} has labels that are no whole numbers; save it again.")
    most = len(read_matlab(names)[_NAMES]) if names else len(dataset.classes)
    if len(values) and (values.min() < 1 or values.max() > most):
        where = f"{_NAMES} of {names.name}" if names else f"the classes of {dataset.name}"
        raise ZslbenchError(
            f"{file} has labels from {values.min():g} to {values.max():g}, and {where} count from 1 to {most}; give "
            "the files that belong together, with labels from 1."
        )
    return [str(int(value)) for value in values]


def _release(file: str, content: Mapping[str, Variable], rows: FileRows) -> Release:
    """Return what a split file says, checked."""
    locs = {}
    for name in (TRAIN, SEEN, UNSEEN, _OWN_TRAIN, _OWN_TEST):
        value = content.get(name, [])
        value = np.flatnonzero(value) + 1 if _is_mask(value, rows) else value
        if np.size(value):
            locs[name] = _loc(file, name, value, rows)
    if TRAIN not in locs and _OWN_TRAIN in locs:
        locs[TRAIN] = np.union1d(locs[_OWN_TRAIN], locs.get(_OWN_TEST, locs[_OWN_TRAIN]))
    for name in (TRAIN, UNSEEN):
        if name not in locs:
            raise ZslbenchError(f"{file} has no {name}; give a file with {TRAIN} and {UNSEEN}.")
    release = Release(file, rows, locs)
    _check_classes(release)
    for one, other in ((TRAIN, SEEN), (_OWN_TRAIN, _OWN_TEST)):
        if len(both := np.intersect1d(release.of(one), release.of(other))):
            raise ZslbenchError(
                f"{file}: {len(both):,} rows are in {one} and in {other}, first row {both[0] + 1} "
                f"({rows.ids[both[0]]}); a video cannot train and be tested: fix the file."
            )
    return release


def _is_mask(value: Variable | IntArray, rows: FileRows) -> bool:
    """Return whether a side has a true or false per row, and not the numbers of its rows."""
    return not isinstance(value, list) and np.size(value) == len(rows.ids) > 2 and set(np.unique(value)) <= {0, 1}


def _loc(file: str, name: str, value: Variable | IntArray, rows: FileRows) -> IntArray:
    numbers = np.ravel(value) if not isinstance(value, list) else np.array([np.nan])
    if numbers.dtype == bool or not np.array_equal(numbers, np.round(numbers)):
        raise ZslbenchError(f"{file}: {name} has other values than numbers of rows; save it again.")
    if numbers.min() < 1:
        raise ZslbenchError(
            f"{file}: {name} has the row {numbers.min():g}, but MATLAB counts rows from 1; if the file was written in "
            "Python with rows from 0, add 1 to all of its rows."
        )
    if numbers.max() > len(rows.ids):
        raise ZslbenchError(
            f"{file}: {name} has the row {numbers.max():g}, but {rows.title} has {len(rows.ids):,} rows; give the "
            "features that the splits were made for."
        )
    unique, counts = np.unique(numbers, return_counts=True)
    if counts.max() > 1:
        raise ZslbenchError(f"{file}: {name} has the row {unique[counts > 1][0]:g} twice; fix the file.")
    return np.sort(numbers.astype(np.int64) - 1)


def _check_classes(release: Release) -> None:
    """Refuse a class on both sides: then rows are of other features, or counted from another number."""
    of = {name: release.rows.classes_of(release.of(name)) for name in release.locs}
    seen, unseen = of[TRAIN], of[UNSEEN]
    for name, classes, side in ((TRAIN, seen, unseen), *((n, of.get(n, set()), unseen) for n in (SEEN, _OWN_TRAIN))):
        if both := sorted(classes & side):
            raise ZslbenchError(
                f"{release.file}: {len(both)} of {len(unseen)} unseen classes ({some(both, 3)}) are in {name} too, by "
                f"the classes of {release.rows.title}; the rows are perhaps of other features, or counted from 0."
            )
    for name in (SEEN, _OWN_TRAIN, _OWN_TEST):
        if strange := sorted(of.get(name, set()) - seen):
            raise ZslbenchError(
                f"{release.file}: {name} has {len(strange)} classes that {TRAIN} lacks ({some(strange, 3)}), by the "
                f"classes of {release.rows.title}; the rows are perhaps of other features."
            )
