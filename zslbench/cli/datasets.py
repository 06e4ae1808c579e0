"""``zslbench datasets``: list the datasets, show one, add and remove your own, show lists of videos."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from zslbench.cli import _lists, _own_words
from zslbench.cli._console import DatasetGroup, confirm, table
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.datasets.catalog import dataset_names, get_dataset, user_names
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import list_features
from zslbench.registry import DATASETS
from zslbench.tables.document import Document, Section
from zslbench.tables.widths import filled
from zslbench.tables.writer import columns


class _Datasets(DatasetGroup):
    """A group whose first argument can be a dataset: ``zslbench datasets hmdb51`` shows it."""

    default = "show"


@click.group(
    cls=_Datasets,
    commands=[_lists.command, _own_words.command],
    examples=["zslbench datasets hmdb51", "zslbench datasets add mine --videos DIR"],
)
def command() -> None:
    """List the datasets, show one, add and remove your own.

    'zslbench datasets' lists all of them, 'zslbench datasets hmdb51' shows one.
    """


@command.command("list", short_help="List the datasets.", examples=["zslbench datasets list"])
@table_options()
def list_(target: Target) -> None:
    """List the datasets: built-in ones, those of other packages, and yours."""
    facts, rows, problems = [], [], [listed.problem for listed in DATASETS if listed.problem]
    broken = {listed.name for listed in DATASETS if listed.problem}
    yours = set(user_names())
    for name in dataset_names():
        if name in broken and name not in yours:
            continue
        try:
            found = get_dataset(name)
        except ZslbenchError as error:
            problems.append(str(error))
            continue
        features = [feature_set for _, feature_set in list_features(name)]
        facts.append({
            "name": name, "title": found.display_name, "classes": len(found.classes), "videos": found.n_videos,
            "yours": name in yours, "families": list(found.stored_families), "features": features,
            "vectors": list(found.vectors), "citation": found.citation,
        })  # fmt: skip
        videos = f"{found.n_videos:,}" if found.n_videos else ""
        families = "random only (your dataset)" if name in yours else ", ".join(found.stored_families)
        vectors = ", ".join(found.vectors)
        rows.append((name, found.display_name, len(found.classes), videos, families, ", ".join(features), vectors))
    headers = ["name", "title", "classes", "videos", "published splits", "feature sets", "class vectors"]
    if target.fmt != "console":
        notes = [f"left out: {problem}" for problem in problems]
        target.write(Document("zslbench datasets", [Section(columns(headers), rows, "Datasets")], notes, facts))
        return
    table(rows, headers, drop=("title", "class vectors", "videos", "feature sets"))
    for problem in problems:
        say(f"\nleft out: {problem}")
    say("\nEvery dataset also has random splits. 'zslbench datasets NAME' shows the classes of one dataset.")


@command.command(short_help="Show a dataset's classes and their words.", examples=["zslbench datasets show hmdb51"])
@click.argument("dataset")
@table_options()
def show(dataset: str, target: Target) -> None:
    """Show the classes of DATASET, and the words of each that class vectors are made from."""
    found = get_dataset(dataset)
    if target.fmt == "console":
        _show(found)
    else:
        target.write(_document(found))


@command.command(
    short_help="Add a dataset of your own.",
    examples=[
        "zslbench datasets add mine --videos DIR  # DIR/wave/1.avi, ...",
        "zslbench datasets add mine --file mine.toml",
    ],
)
@click.argument("name")
@click.option(
    "--videos",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A folder that contains one folder of videos per class.",
)
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="TOML with classes, their words and a citation, or a class list: .txt, .csv or .json.",
)
@click.option("--replace", is_flag=True, help="Replace your dataset of that name.")
def add(name: str, videos: Path | None, file: Path | None, replace: bool) -> None:
    """Add a dataset of your own, from class folders or a file.

    FILE is TOML, or a class list such as classInd.txt, labels.csv or names.txt.

    It has random splits, and class vectors made from the words of its class names. Check these words, and correct them
    with 'zslbench datasets words' or under [phrases] in a file (docs/videos.md). The videos stay where they are.
    """
    from zslbench.datasets.catalog import LIST_SUFFIXES, DatasetFile, add_dataset, read_file, read_list
    from zslbench.semantics.encoder import encode_like
    from zslbench.video.videos import class_folders

    if (videos is None) == (file is None):
        raise ZslbenchError("give either --videos DIR or --file TOML|LIST.")
    notes: list[str] = []
    if videos is not None:
        counts, notes = class_folders(videos)
        source = f"class folders of {videos.absolute().name}"
        given = DatasetFile(name=name, source=source, classes=tuple(counts), videos_per_class=counts)
    else:
        assert file is not None  # noqa: S101 - one of the two is given
        given = read_file(file, name) if file.suffix.lower() not in LIST_SUFFIXES else read_list(file, name)
    made = add_dataset(given, encode_like, replace=replace)
    total = f", {made.n_videos:,} videos" if made.n_videos else ""
    say(f"Added {name}: {len(made.classes)} classes{total}.\n")
    _own_words.tell_words(made)
    for note in notes:
        say(f"note: {note}")
    _warn(made)
    folder = shlex.quote(str(videos or "DIR"))
    echo(f"Next: zslbench extract --dataset {name} --videos {folder} --backbone motion --name motion")


@command.command(short_help="Remove a dataset of your own.", examples=["zslbench datasets remove mine"])
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, yes: bool) -> None:
    """Remove the class list and the lists of videos of your dataset NAME. Features and results stay."""
    from zslbench.datasets.catalog import remove_dataset

    confirm(f"Remove {name}?", f"{name} was not removed", yes=yes or name not in user_names())
    say(f"Removed {remove_dataset(name)}")
    if left := [features for _, features in list_features(name)]:
        say(
            f"note: its feature sets stay ({', '.join(left)}); 'zslbench features remove {name} {left[0]}' deletes one."
        )


def _show(dataset: Dataset) -> None:
    videos = f", {dataset.n_videos:,} videos" if dataset.n_videos else ""
    say(f"{dataset.name}: {dataset.display_name}, {len(dataset.classes)} classes{videos}")
    for title, text in (
        ("cite", dataset.citation),
        ("homepage", dataset.homepage),
        ("class list", dataset.source),
        ("split families", ", ".join(dataset.family_names)),
        ("feature sets", ", ".join(name for _, name in list_features(dataset.name))),
        ("class vectors", ", ".join(dataset.vectors)),
    ):
        if text:
            say(f"{title}: {text}")
    _warn(dataset)
    tables = list(dataset.phrases)
    for name in tables:
        echo(filled(f"edits {name}: {dataset.phrase_sources.get(name, '')}", others="  "))
    for name in dataset.name_edits:
        echo(filled(f"names {name}: {dataset.phrase_sources.get(name, '')}", others="  "))
    say(f"\nBlank: as in {tables[0]}.\n" if len(tables) > 1 else "")
    headers = ["class", *(["videos"] if dataset.videos_per_class else []), *tables]
    table(_class_rows(dataset, tables), headers, drop=tables[:0:-1])
    if elsewhere := [f"{name} ({' or '.join(classes)})" for name, classes in dataset.other_names.items()]:
        echo("\n" + filled(f"names elsewhere: {', '.join(elsewhere)}", others="  "))


def _document(dataset: Dataset) -> Document:
    tables, counts = list(dataset.phrases), dataset.videos_per_class or {}
    facts = [
        {"class": name, "videos": counts.get(name)} | {each: dataset.phrase(name, each) for each in tables}
        for name in dataset.classes
    ]
    record = {
        "name": dataset.name, "title": dataset.display_name, "citation": dataset.citation,
        "homepage": dataset.homepage, "source": dataset.source, "families": dataset.family_names,
        "features": [name for _, name in list_features(dataset.name)], "vectors": list(dataset.vectors),
        "classes": facts,
    }  # fmt: skip
    section = Section(columns(["class", "videos", *tables]), [tuple(each.values()) for each in facts], dataset.name)
    return Document(f"zslbench datasets {dataset.name}", [section], [dataset.citation], facts, record)


def _warn(dataset: Dataset) -> None:
    """Print which split families 'zslbench run' refuses."""
    for name in dataset.family_names:
        if warning := dataset.family(name).warning:
            say(f"note: {warning}")


def _class_rows(dataset: Dataset, tables: list[str]) -> list[list[str]]:
    """Return one row per class; words equal to those of the first table are blank in the other tables."""
    rows = []
    for name in dataset.classes:
        first = dataset.phrase(name, tables[0])
        others = [dataset.phrase(name, each) for each in tables[1:]]
        count = [str(dataset.videos_per_class[name])] if dataset.videos_per_class else []
        rows.append([name, *count, first, *("" if words == first else words for words in others)])
    return rows
