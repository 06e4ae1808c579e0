"""``zslbench splits``: list, show, verify, import, filter and remove families of class splits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from zslbench.cli import _filter
from zslbench.cli._console import DatasetGroup, confirm, table
from zslbench.cli._output import echo
from zslbench.datasets.catalog import get_dataset, working_datasets
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.split_files import imported_names, read_record, remove_imported, write_imported
from zslbench.datasets.splits import RANDOM_FAMILIES, SplitFamily
from zslbench.errors import ZslbenchError

_CANONICAL = "xu-50/50"  # the built-in family of the release that `import` reads


@click.group(cls=DatasetGroup, invoke_without_command=True, commands=[_filter.command])
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, show, verify, import, filter and remove families of class splits.

    'zslbench splits' lists the families of all datasets, 'zslbench splits hmdb51' those of one.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@command.command("list", short_help="List the split families of a dataset, or of all.")
@click.argument("dataset", required=False)
def list_(dataset: str | None = None) -> None:
    """List the split families of DATASET with their sources; without DATASET, list those of all datasets."""
    chosen = [get_dataset(dataset)] if dataset else working_datasets()
    families = [each.family(name) for each in chosen for name in each.family_names]
    rows = [
        (family.dataset, family.name, len(family), family.n_distinct, _sizes(family), family.digest[:12])
        for family in families
    ]
    headers = ["dataset", "family", "splits", "distinct", "seen/unseen", "digest"]
    table([row[1:] for row in rows] if dataset else rows, headers[1:] if dataset else headers)
    _warn(families, several=not dataset)
    if not dataset:
        echo("\nSources and notes with 'zslbench splits DATASET'.")
        return
    for family in families:
        echo(f"\n{family.name}: {family.source or 'source unknown'}")
        if family.note:
            echo(click.wrap_text(family.note, 100, "  ", "  "))


def _warn(families: Sequence[SplitFamily], *, several: bool = False) -> None:
    """Print what to know before the families are used."""
    for family in families:
        if family.warning:
            echo(f"note: {f'{family.dataset} ' if several else ''}{family.warning}", err=True)


def _sizes(family: SplitFamily) -> str:
    pairs = dict.fromkeys((len(split.seen), len(split.unseen), split.seen_dataset) for split in family.splits)
    return ", ".join(f"{seen}{f' ({other})' if other else ''}/{unseen}" for seen, unseen, other in pairs)


@command.command(short_help="Show one split's class names.")
@click.argument("dataset")
@click.argument("family")
@click.argument("index", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(dataset: str, family: str, index: int | None, as_json: bool) -> None:
    """Show the class names of split INDEX (counted from 0) of a FAMILY; without INDEX, list the family's splits."""
    found = get_dataset(dataset).family(family)
    if index is None:
        _show_family(found)
        return
    if not 0 <= index < len(found):
        raise ZslbenchError(
            f"{family} of {dataset} has the splits 0 to {len(found) - 1}, but not {index}; choose one of them."
        )
    split = found.splits[index]
    parts = {"unseen": split.unseen, "validation": split.validation, "seen": split.seen}
    if as_json:
        record = {"dataset": dataset, "family": family, "index": index, "digest": split.digest, **parts}
        echo(json.dumps(record | {"seen_dataset": split.seen_dataset or dataset}, ensure_ascii=False))
        return
    echo(f"{dataset} {family}, split {index}, digest {split.digest}")
    for title, names in parts.items():
        if names:
            of = f" of {split.seen_dataset}" if title == "seen" and split.seen_dataset else ""
            echo(f"\n{len(names)} {title} classes{of}:\n")
            echo(click.wrap_text(", ".join(names), 100, "  ", "  "))


def _show_family(family: SplitFamily) -> None:
    first: dict[str, int] = {}
    rows = []
    for i, split in enumerate(family.splits):
        same = first.setdefault(split.digest, i)
        rows.append((i, len(split.seen), len(split.unseen), split.digest[:12], "" if same == i else f"repeats {same}"))
    echo(f"{family.dataset} {family.name}: {len(family)} splits, {family.n_distinct} distinct\n")
    table(rows, ["split", "seen", "unseen", "digest", ""])
    _warn([family])


@command.command(short_help="Check every family against its released digest.")
@click.option("--write", type=click.Path(path_type=Path), hidden=True, help="Write the current digests to this file.")
def verify(write: Path | None) -> None:
    """Check every family of every dataset: classes exist, sides are disjoint, digests are as released."""
    rows, pinned = [], {}
    for dataset in working_datasets():
        released = [*dataset.stored_families, *RANDOM_FAMILIES]
        pinned[dataset.name] = {name: dataset.family(name).digest for name in released}
        for name in dataset.family_names:
            digest, state = _verdict(dataset, name)
            rows.append((dataset.name, name, digest[:12], state))
    if write:
        write.write_text(json.dumps(pinned, indent=1) + "\n", encoding="utf-8")
        echo(f"wrote {write}")
        return
    table(rows, ["dataset", "family", "digest", "state"])
    bad = [f"{dataset} {family}" for dataset, family, _, state in rows if not state.startswith("ok")]
    if bad:
        raise ZslbenchError(
            f"{len(bad)} of {len(rows)} families are wrong ({', '.join(bad[:4])}), so results on them cannot be "
            f"compared; reinstall zslbench, or remove and re-import an imported family."
        )
    echo(f"\nAll {len(rows)} families are as released or imported.")


def _verdict(dataset: Dataset, name: str) -> tuple[str, str]:
    """Return a family's digest, and ``ok`` or the problem."""
    try:
        family = dataset.family(name)
        unknown, both = _wrong_names(dataset, family)
    except ZslbenchError as error:
        return "", str(error)
    if unknown or both:
        return family.digest, f"unknown classes: {unknown[:3]}" if unknown else f"seen and unseen: {both[:3]}"
    if name in imported_names(dataset.name):
        return family.digest, "ok, imported"
    if name not in dataset.pinned_digests:  # a dataset of another package may pin no digests
        return family.digest, "ok, nothing pinned" if not dataset.pinned_digests else "nothing pinned"
    return family.digest, "ok" if dataset.pinned_digests[name] == family.digest else "changed"


def _wrong_names(dataset: Dataset, family: SplitFamily) -> tuple[list[str], list[str]]:
    unknown: set[str] = set()
    both: set[str] = set()
    for split in family.splits:
        trained = get_dataset(split.seen_dataset) if split.seen_dataset else dataset
        unknown |= {*split.unseen, *split.validation} - set(dataset.classes)
        unknown |= set(split.seen) - set(trained.classes)
        both |= set(split.unseen) & {*split.seen, *split.validation}
    return sorted(unknown), sorted(both)


@command.command("import", short_help="Import Xu's Split.mat or a JSON file of splits.")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), help="The Label.mat of a Split.mat.")
def import_(name: str, file: Path, labels: Path | None) -> None:
    """Import FILE as the family NAME.

    FILE is the Split.mat of Xu's IJCV 2017 release, whose indices count the classes in the order of its Label.mat. Or
    it is JSON: {"dataset": "ucf101", "unseen": [["Archery", ...], ...]}, with "seen" if it is not all other classes.
    The family is stored by class name.
    """
    families = _from_json(name, file) if file.suffix.lower() == ".json" else _from_mat(name, file, labels)
    for family in families:
        dataset = get_dataset(family.dataset)
        if name in dataset.stored_families or name in RANDOM_FAMILIES:
            raise ZslbenchError(f"{family.dataset} has a built-in family {name}; choose another name.")
        unknown, both = _wrong_names(dataset, family)
        if unknown or both:
            raise ZslbenchError(
                f"{file.name}: {(unknown or both)[:3]} are unknown, or both seen and unseen; fix the file."
            )
    write_imported(families)
    for family in families:
        echo(
            f"{family.dataset}: {len(family)} splits ({family.n_distinct} distinct, {_sizes(family)}), "
            f"{_comparison(get_dataset(family.dataset), family)}"
        )
    _warn(families, several=True)
    echo(f"Use them with '--family {name}'.")


def _from_mat(name: str, file: Path, labels: Path | None) -> list[SplitFamily]:
    from zslbench.datasets.xu_release import read_splits

    if labels is None:
        raise ZslbenchError(f"{file.name} counts classes in the order of a Label.mat; name that file with --labels.")
    found = read_splits(file, labels)
    if not found:
        raise ZslbenchError(f"{file.name} contains no splits of a dataset that zslbench knows; check the file.")
    source = f"{file.name} of Xu's IJCV 2017 release, imported"
    return [SplitFamily(name, dataset, tuple(splits), source) for dataset, splits in found.items()]


def _from_json(name: str, file: Path) -> list[SplitFamily]:
    record = read_record(file)
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
    return [record.family(dataset.classes)]


def _resolved(dataset: Dataset, lists: list[list[str]] | None) -> list[list[str]] | None:
    return None if lists is None else [[dataset.resolve_class(name) for name in names] for names in lists]


def _comparison(dataset: Dataset, family: SplitFamily) -> str:
    for name, known in dataset.stored_families.items():
        if known.digest == family.digest:
            return f"equal to the built-in {name}"
    if (canonical := dataset.stored_families.get(_CANONICAL)) and len(canonical) == len(family):
        differ = sum(a.digest != b.digest for a, b in zip(canonical.splits, family.splits, strict=True))
        return f"different from the built-in {_CANONICAL} in {differ} of {len(family)}"
    return "different from every built-in family"


@command.command(short_help="Delete an imported family.")
@click.argument("dataset")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(dataset: str, name: str, yes: bool) -> None:
    """Delete the imported family NAME of DATASET."""
    yes = yes or name not in imported_names(dataset)
    confirm(f"Delete the family {name} of {dataset}?", f"{name} was not deleted", yes=yes)
    echo(f"removed {remove_imported(dataset, name)}")
