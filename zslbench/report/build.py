"""The report: everything that a results folder holds, as one self-contained HTML page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zslbench import __version__
from zslbench.audit.audit import audit_records
from zslbench.audit.findings import Finding, Severity
from zslbench.cells.rows import Defaults, current_rows, registered_defaults
from zslbench.cells.store import Record, Store
from zslbench.leaderboard.board import Leaderboard, build_rows
from zslbench.report import _sections as sections
from zslbench.report import _sections_origin as sections_origin
from zslbench.report._content import Content, row_id
from zslbench.report.page import Page, require_report_extra


@dataclass(frozen=True)
class Part:
    """A section: its heading, what it tells, and the function that fills it, which returns why there is nothing."""

    heading: str
    note: str
    fill: Callable[[Page, Content], str]


PARTS = (
    Part("Leaderboard", "", sections.leaderboard),
    Part(
        "Audit",
        "What makes a figure less than zero-shot, or a comparison less than fair. A leak taints the figure itself.",
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
        "Share of each unseen class's videos that were right (top-1), averaged over the splits in which the class was "
        "unseen; the easiest class first.",
        sections.classes,
    ),
    Part(
        "Confusions",
        "Of the best row of each table, summed over its splits: which class the videos of a class were taken for.",
        sections.confusions,
    ),
    Part(
        "Difficulty of splits",
        "A split is hard where all methods are worse on it. Splits share their classes: the spread over splits is no "
        "measure of how surely methods differ.",
        sections.splits,
    ),
    Part(
        "Number of unseen classes",
        "The same methods on split families of different size. Fewer unseen classes are easier to tell apart, and more "
        "seen classes were trained on: both change along the axis. Reference rows are left out.",
        sections.unseen,
    ),
    Part(
        "Time and accuracy",
        "Seconds inside fit(), the mean over splits, as measured where the cells ran; compare only cells of one "
        "machine (see Environment). Rows on the line are beaten by no other in both.",
        sections.pareto,
    ),
    Part(
        "Hubness",
        "Skewness of how often each class is the first choice: 0 where all are chosen alike, large where a few classes "
        "(hubs) draw the videos of others.",
        sections.hubness,
    ),
    Part(
        "Class embeddings",
        "Saved models: the mean embedding of each class's videos, in the plane.",
        sections_origin.embeddings,
    ),
    Part("Cells without figures", "They are in no mean; the same command runs them again.", sections_origin.failures),
    Part("Environment", "Recorded by each cell when it ran.", sections_origin.environment),
    Part("Commands", "What was typed to make each row, as each cell recorded it.", sections_origin.commands),
)


def build_page(
    records: Sequence[Record],
    store: Store,
    *,
    command: str = "",
    defaults: Defaults = registered_defaults,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Page:
    """Return the report of stored cells.

    Parameters
    ----------
    records
        At least one; of several versions of code or data the newest count.
    store
        Where they lie: predictions, environments and saved models are read from it.
    command
        The one that makes this page.
    defaults
        Function from a label to its parameters, to tell which were chosen.
    tell
        Called with (sections done, sections).

    Raises
    ------
    ZslbenchError
        The extra ``report`` is not installed.
    """
    require_report_extra()
    content = gather(records, store, defaults)
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


def gather(records: Sequence[Record], store: Store, defaults: Defaults = registered_defaults) -> Content:
    """Return what the sections need, computed once."""
    pairs, _ = current_rows(records, defaults=defaults)
    return Content(
        store=store,
        board=build_rows(records, defaults=defaults),
        cells={row_id(row): tuple(group) for row, group in pairs},
        names={row_id(row): row.name for row, _ in pairs},
        findings=tuple(audit_records(records, store)),
        defaults=defaults,
    )


def _warning(board: Leaderboard, findings: Sequence[Finding]) -> str:
    sentences = []
    if any(row.simulated for row in board):
        sentences.append(
            "SIMULATED FEATURES in rows marked [simulated]: no video was looked at; their figures say nothing about "
            "recognising real actions."
        )
    leaks = [finding for finding in findings if finding.severity is Severity.LEAK]
    if leaks:
        sentences.append("LEAKS: " + "; ".join(f"{leak.title} ({leak.concerns})" for leak in leaks) + ". See Audit.")
    return " ".join(sentences)
