"""``zslbench datasets``: list the datasets, or show one."""

from __future__ import annotations

import click

from zslbench.cli._console import table
from zslbench.dataset import Dataset
from zslbench.errors import NotFoundError, suggest
from zslbench.features import list_features
from zslbench.registry import DATASETS, get_dataset


@click.command(short_help="List the datasets, or show one.")
@click.argument("dataset", required=False)
@click.option("--edits", help="Show the words under this name-edit table only.")
def command(dataset: str | None, edits: str | None) -> None:
    """List the datasets, or show the classes of DATASET with the words that stand for them."""
    if dataset:
        _show(get_dataset(dataset), edits)
        return
    rows, problems = [], []
    for listed in DATASETS:
        if listed.problem:
            problems.append(listed.problem)
            continue
        found = get_dataset(listed.name)
        at_hand = ", ".join(name for _, name in list_features(found.name))
        videos = f"{found.n_videos:,}" if found.n_videos else ""
        families = ", ".join(found.stored_families)
        rows.append(
            (found.name, found.display_name, len(found.classes), videos, families, at_hand, ", ".join(found.vectors))
        )
    table(rows, ["name", "", "classes", "videos", "published splits", "feature sets", "class vectors"])
    for problem in problems:
        click.echo(f"\nleft out: {problem}")
    click.echo("\nRandom splits can be drawn for every dataset. One dataset's classes: 'zslbench datasets NAME'.")


def _show(dataset: Dataset, edits: str | None) -> None:
    if edits and edits not in dataset.phrases:
        raise NotFoundError(f"{dataset.name} has no name-edit table {edits!r}.{suggest(edits, dataset.phrases)}")
    videos = f", {dataset.n_videos:,} videos" if dataset.n_videos else ""
    click.echo(f"{dataset.name}: {dataset.display_name}, {len(dataset.classes)} classes{videos}")
    for title, text in (
        ("cite", dataset.citation),
        ("homepage", dataset.homepage),
        ("class list", dataset.source),
        ("split families", ", ".join(dataset.family_names)),
        ("feature sets", ", ".join(name for _, name in list_features(dataset.name))),
        ("class vectors", ", ".join(dataset.vectors)),
    ):
        if text:
            click.echo(f"{title}: {text}")
    tables = [edits] if edits else list(dataset.phrases)
    for name in tables:
        click.echo(click.wrap_text(f"edits {name}: {dataset.phrase_sources.get(name, '')}", 100, "", "  "))
    click.echo(f"\nBlank: the words of {tables[0]}.\n" if len(tables) > 1 else "")
    table(_class_rows(dataset, tables), ["class", *(["videos"] if dataset.videos_per_class else []), *tables])


def _class_rows(dataset: Dataset, tables: list[str]) -> list[list[str]]:
    """Return a row a class; words that are those of the first table are left blank in the others."""
    rows = []
    for name in dataset.classes:
        first = dataset.phrase(name, tables[0])
        others = [dataset.phrase(name, each) for each in tables[1:]]
        count = [str(dataset.videos_per_class[name])] if dataset.videos_per_class else []
        rows.append([name, *count, first, *("" if words == first else words for words in others)])
    return rows
