"""``zslbench report``: write all results of a folder into one HTML page, or a paper's appendix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from zslbench.cells.store import Record, Store
from zslbench.cli._console import READ_RESULTS, command_line
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli._written import Target, table_options
from zslbench.cli.leaderboard import FILTERS, filter_options, read_records
from zslbench.tables.progress import progress


@click.command(
    short_help="Write all results into one HTML page, or a paper's appendix.",
    cls=Verb,
    examples=[
        "zslbench report --dataset hmdb51 --out hmdb51.html",
        "zslbench report --dataset hmdb51 --out appendix.tex",
    ],
)
@READ_RESULTS
@filter_options(*FILTERS)
@table_options(paper=True, formats=("html", "latex"))
def command(results: Path, target: Target, **filters: tuple[str, ...]) -> None:
    """Write all results into one HTML page that needs no server and no network, or a paper's appendix.

    The page has tables with intervals, comparisons, classes, confusions, splits, times and hubness. It also has class
    embeddings of saved models, audit findings, environments, and the commands that made each row.

    The appendix is LaTeX: protocol, splits, class vectors and features with digests, the tables, statistics, caveats,
    versions and commands. Without --out, both are written into the results folder, as report.html or report.tex.
    """
    from zslbench.report.build import build_page
    from zslbench.report.page import require_report_extra

    require_report_extra()  # before anything is read
    records = read_records(results, filters)
    if target.fmt == "latex":
        _write_appendix(records, results, target)
        return
    out = target.out or results / "report.html"
    with progress("report", "sections") as tell:
        page = build_page(records, Store(results), command=command_line(), tell=tell)
    page.write(out)
    echo(f"{out}: {len(records):,} cells, {out.stat().st_size / 1e6:.1f} MB")


def _write_appendix(records: list[Record], results: Path, target: Target) -> None:
    from zslbench.report.appendix import appendix_text
    from zslbench.report.build import gather

    text = appendix_text(gather(records, Store(results)), command=command_line(), latex=target.latex)
    replace(target, out=target.out or results / "report.tex").write_text(text)
