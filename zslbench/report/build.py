"""Build the report: all results of a folder as one self-contained HTML page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zslbench.audit.audit import audit_records
from zslbench.audit.findings import Finding, Severity
from zslbench.cells.rows import current_rows
from zslbench.cells.store import Record, Store
from zslbench.leaderboard.board import Leaderboard, build_rows
from zslbench.leaderboard.notes import SIMULATED_WARNING
from zslbench.report import _sections as sections
from zslbench.report import _sections_origin as sections_origin
from zslbench.report._content import Content, by_table, row_id
from zslbench.report.page import Page, require_report_extra
from zslbench.version import __version__


@dataclass(frozen=True)
class Part:
    """A section: its heading, a note, and the function that fills it and returns why it is empty, or nothing.

    Examples
    --------
    >>> [part.heading for part in PARTS][:3]
    ['Leaderboard', 'Audit', 'Differences from the best']
    """

    heading: str
    note: str
    fill: Callable[[Page, Content], str]


PARTS = (
    Part("Leaderboard", "", sections.leaderboard),
    Part(
        "Audit",
        "Findings that make a figure less than zero-shot, or a comparison unfair. A leak affects the figure itself.",
        sections_origin.audit,
    ),
    Part(
        "Differences from the best",
        "The best row of each table against the others, class by class on their common splits. Splits share their "
        "classes, so no test is over splits.",
        sections.comparisons,
    ),
    Part(
        "Classes",
        "Share of correct videos (top-1) of each unseen class, averaged over the splits in which the class is unseen; "
        "the easiest class first.",
        by_table(sections.classes, "No cell has figures: all failed or were killed."),
    ),
    Part(
        "Confusions",
        "Predicted classes of each class's videos, for the best row of each table, summed over its splits.",
        by_table(sections.confusions, "No predictions are stored beside these cells."),
    ),
    Part(
        "Difficulty of splits",
        "A split is hard if all methods are worse on it. Splits share their classes, so the spread over splits does "
        "not measure the uncertainty of a difference between methods.",
        by_table(sections.splits, "No table has two splits that all of its rows have done."),
    ),
    Part(
        "Time and accuracy",
        "Seconds inside fit(), mean over splits, measured where the cells ran; compare only cells of one machine (see "
        "Environment). No other row beats a row on the line in both time and accuracy.",
        by_table(sections.pareto, "No table has two rows whose time is known.", least=2),
    ),
    Part(
        "Hubness",
        "Skewness of how often each class is the first prediction: 0 if all are predicted equally often, large if a "
        "few classes (hubs) attract the videos of others.",
        by_table(sections.hubness, "No cell has recorded it."),
    ),
    Part(
        "Class embeddings",
        "Mean embeddings of each class's videos by saved models, in the plane.",
        sections_origin.embeddings,
    ),
    Part("Cells without figures", "They are in no mean; the same command runs them again.", sections_origin.failures),
    Part("Environment", "As each cell recorded it when it ran.", sections_origin.environment),
    Part("Commands", "The commands that made each row, as each cell recorded them.", sections_origin.commands),
)


def build_page(
    records: Sequence[Record],
    store: Store,
    *,
    command: str = "",
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Page:
    """Build the report of stored cells.

    Parameters
    ----------
    records
        Stored cells, at least one; of several versions of code or data, the newest counts.
    store
        Store of the cells, from which predictions, environments and saved models are read.
    command
        The command that makes this page.
    tell
        Called with (sections done, all sections).

    Raises
    ------
    ZslbenchError
        The extra ``report`` is not installed.
    """
    require_report_extra()
    content = gather(records, store)
    board = content.board
    n_cells = sum(map(len, content.cells.values()))
    tables = "1 table" if len(board.tables) == 1 else f"{len(board.tables)} tables"
    written = time.strftime("%Y-%m-%d %H:%M", time.localtime())
    page = Page(
        "zslbench report",
        f"{n_cells:,} cells, {len(board):,} rows, {tables}. Written {written} by zslbench {__version__}.",
        warning=_warning(board, content.findings),
    )
    for done, part in enumerate(PARTS):
        tell(done, len(PARTS))
        page.section(part.heading, part.note)
        if why := part.fill(page, content):
            page.text(why)
    tell(len(PARTS), len(PARTS))
    if command:
        page.section("This page")
        page.code(command)
    return page


def gather(records: Sequence[Record], store: Store) -> Content:
    """Compute the content of all sections once."""
    pairs, _ = current_rows(records)
    return Content(
        store=store,
        board=build_rows(records),
        cells={row_id(row): tuple(group) for row, group in pairs},
        names={row_id(row): row.name for row, _ in pairs},
        findings=tuple(audit_records(records, store)),
    )


def _warning(board: Leaderboard, findings: Sequence[Finding]) -> str:
    sentences = []
    if any(row.simulated for row in board):
        sentences.append(SIMULATED_WARNING)
    leaks = [finding for finding in findings if finding.severity is Severity.LEAK]
    if leaks:
        sentences.append("LEAKS: " + "; ".join(f"{leak.title} ({leak.concerns})" for leak in leaks) + ". See Audit.")
    return " ".join(sentences)
