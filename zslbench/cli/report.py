"""``zslbench report``: write all results of a folder into one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cells.store import Store
from zslbench.cli._console import READ_RESULTS, command_line
from zslbench.cli._files import FILE
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli.leaderboard import FILTERS, filter_options, read_records
from zslbench.tables.progress import progress


@click.command(
    short_help="Write all results into one HTML page.",
    cls=Verb,
    examples=["zslbench report --dataset hmdb51 --out hmdb51.html"],
)
@READ_RESULTS
@filter_options(*FILTERS)
@click.option("--out", type=FILE, help="File. [default: report.html in READ_RESULTS]")
def command(results: Path, out: Path | None, **filters: tuple[str, ...]) -> None:
    """Write all results into one HTML page that needs no server and no network.

    The page has tables with intervals, comparisons, classes, confusions, splits, times and hubness. It also has class
    embeddings of saved models, audit findings, environments, and the commands that made each row.
    """
    from zslbench.report.build import build_page
    from zslbench.report.page import require_report_extra

    require_report_extra()  # before anything is read
    records = read_records(results, filters)
    target = out or results / "report.html"
    with progress("report", "sections") as tell:
        page = build_page(records, Store(results), command=command_line(), tell=tell)
    page.write(target)
    echo(f"{target}: {len(records):,} cells, {target.stat().st_size / 1e6:.1f} MB")
