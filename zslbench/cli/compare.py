"""``zslbench compare``: test which methods differ, class by class."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cli._console import EXPLAIN, EXPLAINED, READ_RESULTS
from zslbench.cli._files import FILE, PICTURES, check_suffix, writing
from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli._written import Target, table_options
from zslbench.cli.leaderboard import filter_options, read_records
from zslbench.leaderboard.comparison import COMPARED_METRICS, Settings, TableComparison, compare
from zslbench.report.comparison_text import comparison_document, render

_FILTERS = ("dataset", "features", "semantics", "protocol", "family")
_GROUPS = {
    "Which results": ("results", *_FILTERS),
    "Comparison": ("metric", "level", "nadeau_bengio", "n_classes"),
    "Output": ("fmt", "out", "explain", "label", "caption", "intervals", "picture"),
}


@click.command(
    short_help="Test which methods differ, class by class.",
    cls=Verb,
    groups=_GROUPS,
    examples=["zslbench compare action2vec ridge --dataset hmdb51", "zslbench compare --picture differences.svg"],
)
@click.argument("methods", nargs=-1, metavar="[METHOD_A METHOD_B ...]")
@READ_RESULTS
@filter_options(*_FILTERS)
@click.option(
    "--metric",
    type=click.Choice(COMPARED_METRICS),
    help="Figure. [default: top1_per_class; H, U, S in gzsl; HM, novel, base in base-to-novel]",
)
@click.option("--level", type=click.FloatRange(0.5, 1, max_open=True), default=0.95)
@click.option("--nadeau-bengio", is_flag=True, help="Add the corrected t-test over splits (conservative).")
@click.option("--classes", "n_classes", type=click.IntRange(0), default=5,
              help="Number of classes to show, those that differ most.")  # fmt: skip
@EXPLAIN
@table_options(paper=True)
@click.option("--picture", type=FILE, help="Draw the differences to a .png, .pdf or .svg file.")
def command(
    methods: tuple[str, ...], results: Path, metric: str | None, level: float, nadeau_bengio: bool,
    n_classes: int, explain: bool, target: Target, picture: Path | None,
    **filters: tuple[str, ...],
) -> None:  # fmt: skip
    """Test which methods differ, class by class.

    METHOD is a label (ridge, action2vec:paper) or a row's name in the leaderboard. Without METHOD, all are compared.
    The unit is the class, not the split: splits share classes, so a t-test over splits reports false differences.
    """
    check_suffix("--picture", picture, PICTURES)
    records = read_records(results, filters)
    tables = compare(records, methods, Settings(metric, level, nadeau_bengio))
    if target.fmt != "console":
        target.write(comparison_document(tables, target.fmt, intervals=target.latex.intervals, n_classes=n_classes))
    else:
        echo(render(tables, n_classes=n_classes, explain=explain))
        if not explain:
            echo(EXPLAINED)
    if picture is not None:
        _draw_tables(tables, picture)


def _draw_tables(tables: list[TableComparison], path: Path) -> None:
    """Draw each table to a file; number the files if there are several."""
    from zslbench.report.comparison import comparison_figure

    for i, table in enumerate(tables, start=1):
        target = path if len(tables) == 1 else path.with_stem(f"{path.stem}-{i}")
        with writing("--picture", target) as work:
            comparison_figure(table).savefig(work)
