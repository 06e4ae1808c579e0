"""``zslbench splits filter``: remove classes that are too similar to the training classes of something else."""

from __future__ import annotations

import click

from zslbench.cli._console import table
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.split_files import write_imported
from zslbench.datasets.splits import RANDOM_FAMILIES, SplitFamily
from zslbench.errors import ZslbenchError
from zslbench.overlap.filters import E2E_VECTORS, RULES, Filtered, filter_classes
from zslbench.tables.widths import filled


@click.command(
    "filter",
    short_help="Remove classes that an extractor or a training set knows.",
    cls=Verb,
    examples=[
        "zslbench splits filter ucf101 --rule truze-v1 --against kinetics400",
        "zslbench splits filter ucf101 --against sports1m --save clean-of-sports1m",
        "zslbench splits filter kinetics700 --rule e2e --against ucf101 --against hmdb51 --save e2e-full",
    ],
)
@click.argument("dataset")
@click.option(
    "--rule",
    type=click.Choice(RULES),
    default="semantic",
    help="Rule that decides which classes are too similar.",
)
@click.option("--against", multiple=True, required=True, help="Dataset or label set, such as sports1m. Repeatable.")
@click.option("--semantics", default=E2E_VECTORS, help="Class vectors of --rule e2e.")
@click.option(
    "--as", "side", type=click.Choice(["unseen", "seen"]),
    help="How --save uses the remaining classes: as unseen classes (the others are seen), or as seen classes, tested "
    "on all classes of AGAINST. [default: seen with e2e, else unseen]",
)  # fmt: skip
@click.option("--save", metavar="NAME", help="Save the result as the split family NAME.")
def command(
    dataset: str, rule: str, against: tuple[str, ...], semantics: str, side: str | None, save: str | None,
) -> None:  # fmt: skip
    """Show which classes of DATASET a rule removes, and why.

    docs/audit.md explains each rule, and where it differs from its paper.
    """
    found = filter_classes(rule, dataset, against, semantics=semantics)
    _show(found)
    if save:
        _save(found, save, side or ("seen" if rule == "e2e" else "unseen"))


def _show(found: Filtered) -> None:
    table(found.removed.items(), ["removed", "near"])
    for title, notes in (
        ("kept by the rule's authors although their names are similar", found.overruled),
        ("kept without a comparison: words without a vector", found.unjudged),
        ("not used for comparison: words without a vector", found.missing),
    ):
        if notes:
            say(f"\n{len(notes)} {title}:\n")
            table(
                [(name, why if isinstance(why, str) else ", ".join(why)) for name, why in notes.items()], ["class", ""]
            )
    say(f"\n{len(found.kept)} classes left:\n")
    echo(filled(", ".join(found.kept), "  ", "  "))
    say(
        f"\n{found.dataset}, rule {found.rule} against {', '.join(found.against)}: {len(found.removed)} of "
        f"{len(found.removed) + len(found.kept)} classes removed, {len(found.kept)} left."
    )


def _save(found: Filtered, name: str, side: str) -> None:
    families = [found.as_unseen(name)] if side == "unseen" else found.as_seen(name)
    for family in families:
        if name in get_dataset(family.dataset).stored_families or name in RANDOM_FAMILIES:
            raise ZslbenchError(f"{family.dataset} has a built-in family {name}; choose another name.")
    write_imported(families)
    for family in families:
        echo(f"saved: {family.dataset} {name}, {_sizes(family)}; use it with '--family {name}'.", err=True)
        if family.warning:
            say(f"note: {family.dataset} {family.warning}", err=True)


def _sizes(family: SplitFamily) -> str:
    split = family.splits[0]
    of = f" of {split.seen_dataset}" if split.seen_dataset else ""
    return f"{len(split.seen)} seen classes{of}, {len(split.unseen)} unseen"
