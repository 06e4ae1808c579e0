"""``zslbench results rescore``: read kept scores again as other protocols."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cells.store import Store
from zslbench.cli._console import EXPLAIN, EXPLAINED, READ_RESULTS
from zslbench.cli._files import FILE, writing
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli.leaderboard import FILTERS, filter_options, read_records
from zslbench.errors import ZslbenchError
from zslbench.rescoring.readings import split_names
from zslbench.rescoring.rescore import rescore as rescored_methods
from zslbench.rescoring.tables import RESCORED_FORMATS, rescored_text
from zslbench.tables.progress import progress


@click.command(
    short_help="Read kept scores again with other classes and test lists.",
    cls=Verb,
    examples=[
        "zslbench results rescore --method nearest-text",
        "zslbench results rescore --protocols all,xu-50/50,official-lists",
    ],
)
@READ_RESULTS
@click.option(
    "--protocols", multiple=True, metavar="NAME,...", help="What to read them as. Repeatable. [default: the usual]"
)
@filter_options(*FILTERS)
@EXPLAIN
@click.option("--format", "fmt", type=click.Choice(RESCORED_FORMATS), default="console")
@click.option("--out", type=FILE, help="Write to this file instead of printing.")
def rescore(
    results: Path, protocols: tuple[str, ...], explain: bool, fmt: str, out: Path | None, **filters: tuple[str, ...]
) -> None:  # fmt: skip
    """Read the scores that 'run --keep-scores' kept as other protocols, side by side, without a new run.

    NAME is 'all' (every class), a split family (the unseen classes of each split), or an official test list. With
    NAME@official-1 only that list's test videos count. Classes that a method trained on are refused, and so are methods
    whose scores depend on the classes or videos that were offered.

    docs/rescore.md says more.
    """
    records = read_records(results, filters)
    names = split_names(protocols)
    with progress("reading scores", "methods") as show:
        found = rescored_methods(Store(results), records, names, show=show)
    if names and not any(each.rows for each in found):
        name, why = next(iter(found[0].refused.items()))
        raise ZslbenchError(f"{found[0].row.name} cannot be read as {name}: {why}.")
    text = rescored_text(found, fmt, explain=explain)
    if fmt == "console" and not explain:
        text += f"\n{EXPLAINED}"
    if out is None:
        echo(text)
        return
    with writing("--out", out) as work:
        work.write_text(text + "\n", encoding="utf-8")
