"""``zslbench splits``: list, show, verify, import, filter and remove families of class splits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from zslbench.cli import _filter
from zslbench.cli._console import DatasetGroup, confirm, table
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.datasets.catalog import get_dataset, working_datasets
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.split_files import imported_names, remove_imported, write_imported
from zslbench.datasets.splits import RANDOM_FAMILIES, Split, SplitFamily
from zslbench.errors import ZslbenchError, some
from zslbench.families.catalog import find_family
from zslbench.families.listed import listed_names
from zslbench.protocols.settings import all_settings
from zslbench.tables.document import Document, Section
from zslbench.tables.widths import filled
from zslbench.tables.writer import columns

_CANONICAL = "xu-50/50"  # the built-in family of the release that `import` reads


@click.group(
    cls=DatasetGroup,
    commands=[_filter.command],
    examples=["zslbench splits hmdb51", "zslbench splits hmdb51 xu-50/50"],
)
def command() -> None:
    """List, show, verify, import, filter and remove families of class splits.

    'zslbench splits' lists the families of all datasets, 'zslbench splits hmdb51' those of one, and 'zslbench splits
    hmdb51 xu-50/50' the splits of a family.
    """


@command.command(
    "list", short_help="List the split families of a dataset, or of all.", examples=["zslbench splits list hmdb51"]
)
@click.argument("dataset", required=False)
@click.argument("family", required=False)
@table_options()
def list_(dataset: str | None, family: str | None, target: Target) -> None:
    """List the split families of DATASET with their sources; without DATASET, list those of all datasets.

    With FAMILY, show its splits, and the protocol, splits and convention of papers that use it.
    """
    if dataset and family:
        found = find_family(get_dataset(dataset), family)
        if target.fmt == "console":
            _show_family(found)
        else:
            target.write(_document_of(found))
        return
    chosen = [get_dataset(dataset)] if dataset else working_datasets()
    families = [each.family(name) for each in chosen for name in each.family_names]
    families += [find_family(each, name) for each in chosen if dataset for name in listed_names(each)]
    if target.fmt != "console":
        target.write(_document(families))
        return
    rows = [
        (family.dataset, family.name, len(family), family.n_distinct, _sizes(family), family.digest[:12])
        for family in families
    ]
    headers = ["dataset", "family", "splits", "distinct", "seen/unseen", "digest"]
    table([row[1:] for row in rows] if dataset else rows, headers[1:] if dataset else headers, drop=("digest",))
    _warn(families, several=not dataset)
    if not dataset:
        say("\nSources, notes and families of lists of videos with 'zslbench splits DATASET'.")
        return
    for each in families:
        say(f"\n{each.name}: {each.source or 'source unknown'}")
        if each.note:
            echo(filled(each.note, "  ", "  "))
        _show_usual(each, convention=False)


def _document(families: Sequence[SplitFamily]) -> Document:
    facts: list[dict[str, Any]] = [
        {"dataset": each.dataset, "family": each.name, "splits": len(each), "distinct": each.n_distinct,
         "sizes": _sizes(each), "digest": each.digest, "source": each.source, "note": each.note,
         "warning": each.warning}
        for each in families
    ]  # fmt: skip
    headers = ["dataset", "family", "splits", "distinct", "seen/unseen", "digest"]
    cells = [(*list(each.values())[:5], each["digest"][:12]) for each in facts]
    notes = [f"{each.dataset} {each.name}: {each.source or 'source unknown'}" for each in families]
    return Document("zslbench splits", [Section(columns(headers), cells, "Split families")], notes, facts)


def _document_of(family: SplitFamily) -> Document:
    facts: list[dict[str, Any]] = [
        {"split": i, "seen": len(split.seen), "unseen": len(split.unseen), "digest": split.digest,
         "videos": split.videos.text if split.videos else "", "unseen_classes": list(split.unseen)}
        for i, split in enumerate(family.splits)
    ]  # fmt: skip
    title = f"{family.dataset} {family.name}"
    cells = [(*list(each.values())[:3], each["digest"][:12], each["videos"]) for each in facts]
    section = Section(columns(["split", "seen", "unseen", "digest", ""]), cells, title)
    return Document(f"zslbench splits {title}", [section], [family.source or "source unknown"], facts)


def _warn(families: Sequence[SplitFamily], *, several: bool = False) -> None:
    """Print what to know before the families are used."""
    for family in families:
        if family.warning:
            say(f"note: {f'{family.dataset} ' if several else ''}{family.warning}", err=True)


def _sizes(family: SplitFamily) -> str:
    pairs = dict.fromkeys((len(split.seen), len(split.unseen), split.seen_dataset) for split in family.splits)
    return ", ".join(f"{seen}{f' ({other})' if other else ''}/{unseen}" for seen, unseen, other in pairs)


@command.command(short_help="Show one split's class names.", examples=["zslbench splits show hmdb51 xu-50/50 0"])
@click.argument("dataset")
@click.argument("family")
@click.argument("index", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(dataset: str, family: str, index: int | None, as_json: bool) -> None:
    """Show the class names of split INDEX (counted from 0) of a FAMILY; without INDEX, list the family's splits."""
    found = find_family(get_dataset(dataset), family)
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
        videos: dict[str, object] = {"videos": split.videos.text} if split.videos else {}
        videos |= _own_videos(split)
        echo(json.dumps(record | videos | {"seen_dataset": split.seen_dataset or dataset}, ensure_ascii=False))
        return
    say(f"{dataset} {family}, split {index}, digest {split.digest}")
    if split.videos:
        say(f"videos: {split.videos.text}")
    for side, ids in _own_videos(split).items():
        say(f"  {side}: {len(ids):,}{f', such as {ids[0]}' if ids else ''}")
    for title, names in parts.items():
        if names:
            of = f" of {split.seen_dataset}" if title == "seen" and split.seen_dataset else ""
            say(f"\n{len(names)} {title} classes{of}:\n")
            echo(filled(", ".join(names), "  ", "  "))


def _own_videos(split: Split) -> dict[str, list[str]]:
    """Return the videos of a list that the family has itself, by what becomes of them."""
    own = split.videos.own if split.videos else None
    if own is None:
        return {}
    sides = {"held out of seen classes": split.seen, "tested of unseen classes": split.unseen}
    tested = {side: [v for v in own.test if own.class_of[v] in names] for side, names in sides.items()}
    return {"training": list(own.train)} | tested


def _show_family(family: SplitFamily) -> None:
    first: dict[str, int] = {}
    rows = []
    for i, split in enumerate(family.splits):
        same = first.setdefault(split.digest, i)
        more = f"repeats {same}" if same != i else split.videos.text if split.videos else ""
        rows.append((i, len(split.seen), len(split.unseen), split.digest[:12], more))
    say(f"{family.dataset} {family.name}: {len(family)} splits, {family.n_distinct} distinct\n")
    table(rows, ["split", "seen", "unseen", "digest", ""])
    echo("")
    _show_usual(family)
    _warn([family])


def _show_usual(family: SplitFamily, *, convention: bool = True) -> None:
    """Print how papers use a family: protocol, splits and figure, and the convention."""
    for each in all_settings().values():
        if family.dataset in each.datasets and family.name in each.families:
            number = "all splits" if each.splits == "all" else f"splits {each.splits}"
            said = f"setting {each.name}: {each.protocol}, {number}, figure {each.figure}."
            said += f" {each.convention}" if convention else ""
            echo(filled(said, "  ", "    "))


@command.command(short_help="Check every family against its released digest.", examples=["zslbench splits verify"])
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
        say(f"wrote {write}")
        return
    table(rows, ["dataset", "family", "digest", "state"])
    bad = [f"{dataset} {family}" for dataset, family, _, state in rows if not state.startswith("ok")]
    if bad:
        raise ZslbenchError(
            f"{len(bad)} of {len(rows)} families are wrong ({', '.join(bad[:4])}), so results on them cannot be "
            f"compared; reinstall zslbench, or remove and re-import an imported family."
        )
    say(f"\nAll {len(rows)} families are as released or imported.")


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


@command.command(
    "import",
    short_help="Import files of class splits, as they are released.",
    examples=[
        "zslbench splits import theirs splits.json",
        "zslbench splits import theirs unseen1.txt unseen2.txt --dataset ucf101",
    ],
)
@click.argument("name")
@click.argument("files", metavar="FILE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--dataset", help="Dataset whose classes are split, if the files do not say it.")
@click.option(
    "--features",
    metavar="FILE|FOLDER|NAME",
    help="For att_splits.mat: the features' .mat, a folder with one per split file, or a feature set imported from it.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="The Label.mat of a Split.mat.")
@click.option(
    "--class-list", type=click.Path(path_type=Path), help="What numbers of classes count: classInd.txt, or canonical."
)
@click.option(
    "--first-number", type=click.IntRange(0, 1), help="The number of its first class, if files leave it open."
)
def import_(
    name: str,
    files: tuple[Path, ...],
    dataset: str | None,
    features: str | None,
    labels: Path | None,
    class_list: Path | None,
    first_number: int | None,
) -> None:
    """Import FILE_OR_FOLDER... as the family NAME, which is stored by class name.

    \b
    att_splits.mat     splits of the GZSL literature, one file per split, or a
                       folder of them: trainval_loc, test_seen_loc,
                       test_unseen_loc. They are rows of a features' file, which
                       says the class and id of each: --features names it. Seen
                       videos that are held out are kept for gzsl.
    Split.mat          of Xu's IJCV 2017 release, whose indices count classes in
                       the order of its Label.mat.
    .json, .toml       {"dataset": "ucf101", "unseen": [["Archery", ...], ...]},
                       with "seen" if it is not all other classes.
    .txt, .npy, .npz,  unseen classes by name or number, a split per file, line
    .pkl, .json, .csv  or row, with --dataset. The words seen, unseen, train,
                       test and val in names, keys and cells say what a list
                       has.
    """  # noqa: D301 - \b keeps click from joining the lines
    from zslbench.families.imported import SplitSource, read_families

    families, notes = read_families(name, SplitSource(files, dataset, labels, features, class_list, first_number))
    for family in families:
        found = get_dataset(family.dataset)
        if family.name in found.stored_families or family.name in RANDOM_FAMILIES:
            raise ZslbenchError(f"{family.dataset} has a built-in family {family.name}; choose another name.")
        unknown, both = _wrong_names(found, family)
        if unknown or both:
            raise ZslbenchError(
                f"{files[0].name}: {(unknown or both)[:3]} are unknown, or both seen and unseen; fix the file."
            )
    write_imported(families)
    for family in families:
        title = family.dataset if family.name == name else f"{family.dataset} {family.name}"
        say(
            f"{title}: {len(family)} splits ({family.n_distinct} distinct, {_sizes(family)}), "
            f"{_comparison(get_dataset(family.dataset), family)}"
        )
        first: dict[str, int] = {}
        if same := [i for i, split in enumerate(family.splits) if first.setdefault(split.digest, i) != i]:
            echo(f"note: splits {some([str(i) for i in same])} repeat earlier ones of {family.name}.", err=True)
    for note in notes:
        say(f"note: {note}", err=True)
    _warn(families, several=True)
    say(f"Use them with '--family {name}'.")


def _comparison(dataset: Dataset, family: SplitFamily) -> str:
    for name, known in dataset.stored_families.items():
        if known.digest == family.digest:
            return f"equal to the built-in {name}"
    if (canonical := dataset.stored_families.get(_CANONICAL)) and len(canonical) == len(family):
        differ = sum(a.digest != b.digest for a, b in zip(canonical.splits, family.splits, strict=True))
        return f"different from the built-in {_CANONICAL} in {differ} of {len(family)}"
    return "different from every built-in family"


@command.command(short_help="Delete an imported family.", examples=["zslbench splits remove ucf101 theirs"])
@click.argument("dataset")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(dataset: str, name: str, yes: bool) -> None:
    """Delete the imported family NAME of DATASET."""
    yes = yes or name not in imported_names(dataset)
    confirm(f"Delete the family {name} of {dataset}?", f"{name} was not deleted", yes=yes)
    say(f"removed {remove_imported(dataset, name)}")
