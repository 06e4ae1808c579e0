"""``zslbench cite``: BibTeX of everything that results rest on."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cli._console import READ_RESULTS
from zslbench.cli._files import FILE, check_suffix, writing
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli.leaderboard import FILTERS, filter_options, read_records
from zslbench.errors import ZslbenchError


@click.command(
    cls=Verb,
    examples=[
        "zslbench cite --dataset hmdb51 --out references.bib",
        "zslbench cite action2vec ridge+csls ucf101",
    ],
)
@click.argument("names", nargs=-1, metavar="[METHOD|DATASET|BACKBONE ...]")
@READ_RESULTS
@filter_options(*FILTERS)
@click.option("--out", type=FILE, help="Write to this .bib file instead of printing.")
def command(names: tuple[str, ...], results: Path, out: Path | None, **filters: tuple[str, ...]) -> None:
    """Print BibTeX of what stored results rest on: datasets, splits, class vectors, features and methods.

    With names, print the references of these methods, datasets or backbones; no results are read.

    Entries have only what zslbench knows: family names, title, venue and year. A comment names what no reference is
    known for.
    """
    from zslbench.leaderboard.citing import bibliography, cite_cells, cite_names

    check_suffix("--out", out, (".bib",))
    if names and any(filters.values()):
        raise ZslbenchError("names and filters of results were given; leave one of them out.")
    cited = cite_names(names) if names else cite_cells(record.cell for record in read_records(results, filters))
    text = bibliography(cited)
    if out is None:
        echo(text)
        return
    with writing("--out", out) as work:
        work.write_text(text + "\n", encoding="utf-8")
