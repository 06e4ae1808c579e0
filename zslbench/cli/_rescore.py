"""``zslbench results rescore``: read kept scores again as other protocols."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cells.store import Store
from zslbench.cli._console import EXPLAIN, EXPLAINED, READ_RESULTS
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli._written import Target, table_options
from zslbench.cli.leaderboard import FILTERS, filter_options, read_records
from zslbench.errors import ZslbenchError
from zslbench.rescoring.readings import split_names
from zslbench.rescoring.rescore import rescore as rescored_methods
from zslbench.rescoring.tables import rescored_document, rescored_text
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
@table_options(paper=True)
def rescore(
    results: Path, protocols: tuple[str, ...], explain: bool, target: Target, **filters: tuple[str, ...]
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
    if target.fmt != "console":
        target.write(rescored_document(found, target.fmt, intervals=target.latex.intervals))
        return
    echo(rescored_text(found, explain=explain))
    if not explain:
        echo(EXPLAINED)
