"""Make the tables of a reproduction for CSV, Markdown and pages: measured and published figures, in separate blocks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zslbench.datasets.catalog import get_dataset
from zslbench.digests import canonical_json
from zslbench.leaderboard.agreement import MEANINGS, Agreement, compare_with_published
from zslbench.leaderboard.tables import splits_text
from zslbench.ledger.papers import Paper, TableRow
from zslbench.ledger.published import Published
from zslbench.report.page import Page
from zslbench.reproduce.reproduction import Entry, Reproduction, paper_figures
from zslbench.tables.writer import Shown, columns, csv_text, escape, interval_text, listed, number_text, table_text

TableCell = str | Shown
STATUSES = (
    *MEANINGS,
    "In parentheses after reproduced, inconclusive and differs: measured minus published.",
    "Interval: 95 % of the mean over classes (jackknife, logit scale; none below 5 classes). sd: standard "
    "deviation over distinct splits (ddof=1), not a standard error. chance: 1 / number of unseen classes.",
)

_COLUMNS = ("95 % over classes", "sd over splits", "splits", "chance %", "status")


@dataclass
class Block:
    """One table with a caption.

    Examples
    --------
    >>> Block("Measured: top-1 % per video", ["method", "%"], [["ridge", percent(31.25)]]).rows[0][1].text
    '31.2'
    """

    caption: str
    headers: list[str]
    rows: list[list[TableCell]] = field(default_factory=list)


@dataclass
class ResultTable:
    """One of the paper's tables: measured and published blocks, footnotes, and one mapping per figure for programs.

    ``inputs`` are the footnotes that all tables share; a page shows them, and :data:`STATUSES`, once.

    Examples
    --------
    >>> table = ResultTable("table1", "Table 1", [], [], [], [{"row": "ridge", "measured": "31.2"}])
    >>> table.csv().splitlines()
    ['row,measured', 'ridge,31.2']
    """

    stem: str
    heading: str
    blocks: list[Block]
    inputs: list[str]
    notes: list[str]
    facts: list[dict[str, Any]]

    def csv(self) -> str:
        """Return one line per figure."""
        return csv_text(self.facts) + "\n"

    def markdown(self, title: str) -> str:
        """Return the blocks as Markdown tables with footnotes."""
        parts = [f"# {escape('markdown', title)}", f"## {escape('markdown', self.heading)}"]
        for block in self.blocks:
            table = table_text("markdown", columns(block.headers), block.rows)
            parts += [escape("markdown", block.caption), table]
        notes = listed("markdown", [*self.inputs, *STATUSES, *self.notes])
        return "\n\n".join([*parts, "\n".join(notes)]) + "\n"

    def add_to(self, page: Page) -> None:
        """Add the table to a page."""
        page.section(self.heading)
        for block in self.blocks:
            page.table(block.headers, block.rows, block.caption)
        page.bullets(self.notes)


def percent(value: float | None, digits: int = 1) -> Shown:
    """Return a share or a per cent as text for a table; ``-`` if there is none."""
    return Shown(number_text(value, digits), value)


def interval(low: float, high: float, digits: int = 1) -> Shown:
    """Return an interval as text for a table; ``-`` if there is none."""
    return Shown(interval_text(low, high, digits), low)


def status(comparison: Agreement) -> Shown:
    """Return the status, with the difference from the published figure, or with the reason why there is none."""
    text = comparison.status
    mark: Literal["", "good", "bad", "quiet"] = "quiet"
    if text in ("not run", "not comparable") or comparison.published is None or comparison.measured is None:
        return Shown(f"{text}: {comparison.why}", mark=mark)
    away = comparison.measured - comparison.published.value
    mark = "good" if text == "reproduced" else "bad" if text == "differs" else ""
    return Shown(f"{text} ({away:+.{comparison.published.decimals}f})", mark=mark)


class Caveats:
    """Caveats of published rows; those of all rows have no numbers, the others do.

    Examples
    --------
    >>> Caveats([None]).cell(None)
    '-'
    """

    def __init__(self, rows: Iterable[Published | None]) -> None:
        known = [row for row in rows if row is not None]
        every = list(dict.fromkeys(caveat for row in known for caveat in row.caveats))
        self.shared = [caveat for caveat in every if all(caveat in row.caveats for row in known)]
        self.numbers = {caveat: i for i, caveat in enumerate((c for c in every if c not in self.shared), start=1)}

    def cell(self, row: Published | None) -> TableCell:
        """Return a published figure with its marks and the numbers of its caveats."""
        if row is None:
            return "-"
        spread = f" ± {row.spread_text}" if row.spread is not None else ""
        marks = [*row.marks, *(str(self.numbers[c]) for c in row.caveats if c in self.numbers)]
        return Shown(" ".join([f"{row.text}{spread}", *([f"[{', '.join(marks)}]"] if marks else [])]), row.value)

    def notes(self) -> list[str]:
        """Return the caveats as sentences."""
        return [*self.shared, *(f"[{number}] {caveat}" for caveat, number in self.numbers.items())]


def published_figures(paper: Paper, *headers: str) -> Block:
    """Return the empty block of a table for the paper's own figures."""
    return Block(f"Published ({paper.source}), never ranked with the measured figures", list(headers))


def display(dataset: str) -> str:
    """Return a dataset's name as papers write it."""
    return get_dataset(dataset).display_name


def table1(made: Reproduction, found: Sequence[Entry]) -> ResultTable:
    """Return the main table: rows by ratio, a group of columns per dataset that was run, one column per other one."""
    paper = made.paper
    by_key = {(e.task.row.name, e.task.ratio.name, e.task.dataset): e for e in found}
    headers = ["method", "runs", "seen/unseen"]
    datasets = [*made.features, *made.skipped]
    for dataset in datasets:
        headers += [f"{display(dataset)} %", *_COLUMNS] if dataset in made.features else [display(dataset)]
    measured = Block(f"Measured: top-1 % per video{caption_marks(made)}", headers)
    published = published_figures(paper, "method", "seen/unseen", *(f"{display(name)} %" for name in paper.datasets))
    caveats = Caveats(entry.comparison.published for entry in found)
    for ratio in paper.ratios:
        for row in paper.rows:
            line: list[TableCell] = [measured_as(made, row), _runs(row), ratio.name]
            for dataset in datasets:
                line += _measured_cells(by_key[row.name, ratio.name, dataset], run=dataset in made.features)
            measured.rows.append(line)
            figures = [by_key[row.name, ratio.name, dataset].comparison.published for dataset in paper.datasets]
            published.rows.append([row.name, ratio.name, *(caveats.cell(figure) for figure in figures)])
    facts = [_fact(made, entry) for entry in found]
    notes = [note for note in (paper.table1_note, *caveats.notes()) if note]
    return ResultTable("table1", "Table 1: the ablation", [measured, published], inputs(made), notes, facts)


def _measured_cells(entry: Entry, *, run: bool) -> list[TableCell]:
    if not run:
        return [status(entry.comparison)]
    row, outcome = entry.row, entry.comparison
    if row is None or outcome.measured is None:
        return [Shown("-"), "-", "-", "-", "-", status(outcome)]
    figures = row.figures
    failed = sum(row.failures.values())
    done = splits_text(row) + (f", {failed} failed" if failed else "")
    return [
        percent(outcome.measured),
        interval(outcome.low, outcome.high),
        percent(100 * figures["split_std"]),
        f"{done} {row.table.family}",
        percent(100 * figures["chance"]),
        status(outcome),
    ]


def table2(made: Reproduction, found: Sequence[Entry]) -> ResultTable:
    """Return the comparison with other systems: measured rows, then all published ones."""
    paper, ledger = made.paper, paper_figures(made.paper)
    chosen = [entry for entry in found if entry.task.row.name in paper.table2.rows]
    measured = Block(
        f"Measured: top-1 % per video{caption_marks(made)}",
        ["method", "seen/unseen", "dataset", "%", "95 % over classes", "status"],
    )
    for entry in chosen:
        if entry.task.dataset in made.features:
            outcome = entry.comparison
            measured.rows.append(
                [measured_as(made, entry.task.row, entry.task.dataset), entry.task.ratio.name,
                 display(entry.task.dataset), percent(outcome.measured),
                 interval(outcome.low, outcome.high), status(outcome)]
            )  # fmt: skip
    ratios = [ratio.name for ratio in paper.ratios]
    ours = [(e.task.row.name, figure, e.comparison) for e in chosen if (figure := e.comparison.published)]
    others = [
        (other.name, figure, compare_with_published(figure, None, not_run=other.why))
        for other in paper.table2.others
        for figure in ledger
        if figure.system == other.published and figure.protocol in ratios
    ]
    caveats = Caveats(figure for _, figure, _ in [*ours, *others])
    published = published_figures(paper, "system", "seen/unseen", "dataset", "%", "status here")
    for name, figure, outcome in sorted([*ours, *others], key=lambda line: ratios.index(line[1].protocol)):
        published.rows.append([name, figure.protocol, display(figure.dataset), caveats.cell(figure), status(outcome)])
    facts = [_fact(made, entry) for entry in chosen]
    facts += [
        {"dataset": figure.dataset, "seen/unseen": figure.protocol, "row": name, **verdict(outcome)}
        for name, figure, outcome in others
    ]
    return ResultTable("table2", "Table 2: other systems", [measured, published], inputs(made), caveats.notes(), facts)


def measured_as(made: Reproduction, row: TableRow, dataset: str | None = None) -> str:
    """Return the name of a row of measured figures; if the paper's name contains its features, name those used here.

    Parameters
    ----------
    dataset
        The dataset of the named features; by default all datasets of the run.
    """
    titles = [found.title for name, found in made.features.items() if dataset in (None, name)]
    return (row.measured or row.name).replace("{features}", ", ".join(titles))


def _runs(row: TableRow) -> str:
    values = ", ".join(f"{key}={value}" for key, value in row.set.items())
    return f"{row.method} ({values})" if values else row.method


def caption_marks(made: Reproduction) -> str:
    """Return the warnings in a caption of measured figures."""
    marks = [" on SIMULATED FEATURES"] if made.simulated else []
    return "".join([*marks, ", QUICK settings (not a reproduction)"] if made.quick else marks)


def inputs(made: Reproduction) -> list[str]:
    """Return sentences that compare the inputs with those of the paper."""
    paper = made.paper
    notes = []
    for dataset, features in made.features.items():
        manifest = features.manifest
        trained = f", trained on {', '.join(manifest.trained_on)}" if manifest.trained_on else ""
        notes.append(
            f"Features of {display(dataset)}: {features.title} ({manifest.extractor}{trained}); the paper: "
            f"{paper.features.text}." + ("" if made.same_features(dataset) else _OTHERS)
        )
    notes.append(
        f"Class vectors: {made.semantics}; the paper: {paper.class_vectors.text}."
        + (" Both are of one kind; corpus and pooling may differ." if made.same_class_vectors else _OTHERS)
    )
    return notes


_OTHERS = " These differ, so no figure that depends on them is compared with a published one."


def _fact(made: Reproduction, entry: Entry) -> dict[str, Any]:
    """Return an entry for programs."""
    task, row = entry.task, entry.row
    figures = row.figures if row else {}
    features = made.features.get(task.dataset)
    return {
        "dataset": task.dataset,
        "seen/unseen": task.ratio.name,
        "row": task.row.name,
        "measured_as": measured_as(made, task.row, task.dataset) if features else "",
        **verdict(entry.comparison),
        "top1_per_class": number(100 * figures.get("top1_per_class", math.nan)),
        "sd_over_splits_ddof1": number(100 * figures.get("split_std", math.nan)),
        "chance": number(100 * figures.get("chance", math.nan)),
        "family": task.family,
        "splits_done": row.n_done if row else 0,
        "splits_distinct": row.n_splits if row else 0,
        "splits_all": row.n_all if row else "",
        "without_figures": sum(row.failures.values()) if row else 0,
        "method": task.row.method,
        "chosen_parameters": canonical_json(row.chosen) if row else "",
        "features": features.title if features else "",
        "class_vectors": made.semantics if features else "",
        "simulated": bool(features and features.manifest.simulated),
        "quick": made.quick,
        "seed": made.seed,
    }


def number(value: float | None) -> str:
    """Return a figure as text for programs; empty if there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def verdict(outcome: Agreement) -> dict[str, Any]:
    """Return the columns of every table: measured, published and status."""
    figure = outcome.published
    return {
        "measured": number(outcome.measured),
        "low_95": number(outcome.low),
        "high_95": number(outcome.high),
        "published": figure.text if figure else "",
        "published_spread": figure.spread_text if figure else "",
        "status": outcome.status,
        "why": outcome.why,
        "published_source": figure.source if figure else "",
        "published_caveats": " | ".join(figure.caveats) if figure else "",
    }
