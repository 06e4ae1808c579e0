"""Make families of class splits of users' files: released MATLAB files, JSON and TOML, lists of classes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.matlab import read_matlab
from zslbench.datasets.split_files import is_record, read_record
from zslbench.datasets.splits import SplitFamily
from zslbench.datasets.xu_release import read_splits
from zslbench.errors import NotFoundError, ZslbenchError, some
from zslbench.families.class_files import CLASS_FILES, natural, read_class_files
from zslbench.families.released import TRAIN, is_release, read_releases

VALIDATION = "-validation"  # ends the name of the family of the authors' own validation


@dataclass(frozen=True)
class SplitSource:
    """Files of splits, and what is needed to read them.

    Attributes
    ----------
    paths
        Files of one kind, or folders of them.
    dataset
        The dataset, where the files do not say it.
    labels
        The ``Label.mat`` of Xu's ``Split.mat``.
    class_list
        The file that gives classes their numbers, or ``canonical``.
    first
        The number of its first class, where the files leave that open.
    features
        What says the class and id of each row (:func:`zslbench.families.released.read_releases`).

    Examples
    --------
    >>> SplitSource((Path("ucf101_semantics"),), features="ucf101_i3d.mat").dataset is None
    True
    """

    paths: tuple[Path, ...]
    dataset: str | None = None
    labels: Path | None = None
    features: str | None = None
    class_list: Path | None = None
    first: int | None = None


def read_families(name: str, source: SplitSource) -> tuple[list[SplitFamily], list[str]]:
    """Return the families of a name that files make, and notes.

    Raises
    ------
    ZslbenchError
        The files cannot be read, contradict each other, or more is needed to read them.
    """
    found = _found(source.paths)
    files = [file for file, _ in found]
    kinds = {file.suffix.lower() for file in files}
    if len(kinds) > 1:
        raise ZslbenchError(f"{some(sorted(kinds), 4)} files are of several kinds; give files of one kind.")
    (kind,) = kinds
    _check_options(source, kind)
    if kind == ".mat":
        if source.labels is None and is_release(read_matlab(files[0])):
            return _released(name, found, source)
        return _xu(name, files[0], source.labels), []
    if kind not in CLASS_FILES:
        raise ZslbenchError(
            f"{files[0].name} has no form of splits that is known; give {', '.join(CLASS_FILES)} or .mat."
        )
    if kind in (".json", ".toml") and len(files) == 1 and is_record(files[0]):
        return [_record(name, files[0], source.dataset)], []
    if source.dataset is None:
        raise ZslbenchError(f"{files[0].name} does not say which dataset it splits; name it with --dataset.")
    dataset = get_dataset(source.dataset)
    splits, notes = read_class_files(dataset, found, source.class_list, source.first)
    return [SplitFamily(name, dataset.name, tuple(splits), f"{_title(found)}, imported", "; ".join(notes))], notes


def _check_options(source: SplitSource, kind: str) -> None:
    mat = kind == ".mat"
    given = {"--features": source.features, "--labels": source.labels} if not mat else {
        "--class-list": source.class_list, "--first-number": source.first
    }  # fmt: skip
    if unread := [option for option, value in given.items() if value is not None]:
        raise ZslbenchError(f"{unread[0]} has no meaning for {kind} files; leave it out.")


def _title(found: Sequence[tuple[Path, Path]]) -> str:
    file, root = found[0]
    return file.name if len(found) == 1 else f"{len(found)} files {file.relative_to(root).as_posix()}, ..."


def _found(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return the files, in the order of the numbers in their paths, each with the folder that it was found in."""
    if missing := [path for path in paths if not path.exists()]:
        raise NotFoundError(f"there is no {missing[0]}; check the path.")
    alone = [path for path in paths if not path.is_dir()]
    common = Path(os.path.commonpath([path.absolute().parent for path in alone])) if alone else Path()
    found = [(path.absolute(), common) for path in alone]
    found += [pair for path in paths if path.is_dir() for pair in _in_folder(path)]
    return sorted(found, key=lambda pair: natural(pair[0].relative_to(pair[1]).as_posix()))


def _in_folder(path: Path) -> list[tuple[Path, Path]]:
    there = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
    found = [file for file in there if file.suffix.lower() == ".mat" and is_release(read_matlab(file))]
    patterns = {re.sub(r"\d+", "#", file.name): file.name for file in found}
    if len(patterns) > 1:
        raise ZslbenchError(
            f"{path} has several kinds of split files ({some(sorted(patterns.values()), 3)}); name those of one kind, "
            f"such as {path.name}/*/{next(iter(patterns.values()))}."
        )
    if not found:
        found = [file for file in there if file.suffix.lower() in CLASS_FILES]
    if not found:
        raise NotFoundError(f"{path} has no file of splits; give a folder with att_splits.mat or lists of classes.")
    return [(file, path) for file in found]


def _released(
    name: str, found: Sequence[tuple[Path, Path]], source: SplitSource
) -> tuple[list[SplitFamily], list[str]]:  # fmt: skip
    files, roots = zip(*found, strict=True)
    dataset, releases, notes = read_releases(files, roots, source.dataset, source.features)
    lists = not all(each.is_whole for each in releases)
    made = {name: tuple(each.split(lists=lists) for each in releases)}
    about = {name: "; ".join(notes)}
    if all(each.validation for each in releases):
        # The authors choose parameters on these classes, and then train on them: they are seen classes of the test.
        own = name + VALIDATION
        made[own] = tuple(each.own_validation(lists=True) for each in releases)
        about[own] = f"the authors' validation of {name}: train_loc trains, and the other classes of val_loc are tested"
        notes.append(f"the validation classes train in the test, as {TRAIN} says; {own} tests them instead")
    return [
        SplitFamily(n, dataset.name, splits, f"{_title(found)}, imported", about[n]) for n, splits in made.items()
    ], notes


def _xu(name: str, file: Path, labels: Path | None) -> list[SplitFamily]:
    if labels is None:
        raise ZslbenchError(
            f"{file.name} has no {TRAIN} or other rows of a split; if it is Xu's Split.mat, which counts classes in "
            "the order of a Label.mat, name that file with --labels."
        )
    found = read_splits(file, labels)
    if not found:
        raise ZslbenchError(f"{file.name} contains no splits of a dataset that zslbench knows; check the file.")
    source = f"{file.name} of Xu's IJCV 2017 release, imported"
    return [SplitFamily(name, dataset, tuple(splits), source) for dataset, splits in found.items()]


def _record(name: str, file: Path, wanted: str | None) -> SplitFamily:
    record = read_record(file)
    if wanted and get_dataset(wanted).name != record.dataset:
        raise ZslbenchError(f"{file.name} has splits of {record.dataset}; leave out --dataset {wanted}.")
    dataset, trained = get_dataset(record.dataset), get_dataset(record.seen_dataset or record.dataset)
    record = record.model_copy(
        update={
            "name": name,
            "source": record.source or f"{file.name}, imported",
            "unseen": _resolved(dataset, record.unseen),
            "validation": _resolved(dataset, record.validation),
            "seen": _resolved(trained, record.seen),
        }
    )
    return record.family(dataset.classes)


def _resolved(dataset: Dataset, lists: list[list[str]] | None) -> list[list[str]] | None:
    return None if lists is None else [[dataset.resolve_class(name) for name in names] for names in lists]
