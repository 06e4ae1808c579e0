"""Families that train on chosen classes of another dataset, named in a text file."""

from __future__ import annotations

from pathlib import Path

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.split_files import imported_names, read_imported, write_imported
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.families.cross import SHORT, shared_names, short_name
from zslbench.files import check_name, read_text


def store_chosen(dataset: Dataset, trained: str, path: Path, *, without_overlap: bool = False) -> str:
    """Store the family that trains on the classes in a file, and tests all classes of a dataset; return its name.

    The file has one class name of the training dataset per line; empty lines and lines that start with ``#`` do not
    count. The name is ``k400-STEM-to-ucf101``, where STEM is the file's. If it is stored already, it is kept.

    Parameters
    ----------
    dataset
        The dataset that is tested.
    trained
        The dataset that is trained on.
    without_overlap
        Whether test classes that have the name of a training class are left out.

    Raises
    ------
    ZslbenchError
        The file cannot be read, names no class or one twice, or another family has the name.
    """
    source = get_dataset(SHORT.get(trained, trained))
    if source.name == dataset.name:
        raise ZslbenchError(f"--train {trained} is the tested dataset; leave it out, or choose another one.")
    lines = [line.strip() for line in read_text(path).splitlines()]
    seen = [source.resolve_class(line) for line in lines if line and not line.startswith("#")]
    if not seen:
        raise ZslbenchError(f"{path} names no class; write one class of {source.name} per line.")
    shared = {match.class_name for match in shared_names(dataset.name, source.name, frozenset(seen))}
    tested = tuple(name for name in dataset.classes if not (without_overlap and name in shared))
    name = f"{short_name(source.name)}-{path.stem}-to-{short_name(dataset.name)}" + "-no-overlap" * without_overlap
    check_name(name, "a family")
    split = Split(tuple(seen), tested, seen_dataset=source.name)
    if name in imported_names(dataset.name):
        if read_imported(dataset.name, name, dataset.classes).splits == (split,):
            return name
        raise ZslbenchError(
            f"{dataset.name} has another family {name}; rename {path.name}, or run 'zslbench splits remove "
            f"{dataset.name} {name}'."
        )
    write_imported([SplitFamily(name, dataset.name, (split,), f"{len(seen)} classes of {source.name}, chosen by you")])
    return name
