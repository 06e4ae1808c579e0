"""``zslbench site``: write a static leaderboard over many results folders and bundles."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cli._console import WrittenPath
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.tables.progress import progress


@click.command(
    short_help="Write a static leaderboard of many results folders and bundles.",
    cls=Verb,
    examples=["zslbench site public --results results/runs --results their-lab.zip", "zslbench site public --replace"],
)
@click.argument("folder", metavar="DIR", type=WrittenPath(file_okay=False))
@click.option(
    "--results", "paths", multiple=True, type=click.Path(path_type=Path), default=[Path("results/runs")],
    envvar="ZSLBENCH_RESULTS", help="Folder of results, or a bundle FILE.zip. Repeatable.",
)  # fmt: skip
@click.option("--title", default="Leaderboard", help="Title of the page.")
@click.option("--replace", is_flag=True, help="Replace a site that is in DIR.")
def command(folder: Path, paths: tuple[Path, ...], title: str, replace: bool) -> None:
    """Write a leaderboard of several results folders and bundles as a folder of pages, which needs no server.

    DIR/index.html lists the rows, with filters. Each row has a page with its command, its checks and its cells. All
    sources are verified first; a bundle that disagrees with itself is refused.
    """
    from zslbench.report.page import require_report_extra
    from zslbench.report.site import number_of, write_site

    require_report_extra()  # before anything is read
    said: list[str] = []
    with progress("site", "pages") as tell:
        n = write_site(folder, paths, title=title, replace=replace, tell=tell, warn=said.append)
    for text in said:
        echo(f"warning: {text}", err=True)
    echo(f"{folder / 'index.html'}: {number_of(n, 'row')} of {number_of(len(paths), 'source')}")
