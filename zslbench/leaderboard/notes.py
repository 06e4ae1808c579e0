"""The notes under a leaderboard: a short line each on a console, whole sentences elsewhere and with ``--explain``."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import TYPE_CHECKING

from zslbench.audit.inputs import mark_notes
from zslbench.cells.rows import ONE_UNSEEN, Row
from zslbench.errors import some
from zslbench.families.catalog import shared_text
from zslbench.leaderboard.comparison import plain_name
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.stats.metrics import TOP
from zslbench.tables.notes import Note

if TYPE_CHECKING:
    from zslbench.leaderboard.board import Leaderboard

SIMULATED_WARNING = (
    "SIMULATED FEATURES in rows marked [simulated]: no video was looked at, and their figures say nothing about "
    "recognising real actions."
)
SIMULATED_NOTE = Note(
    SIMULATED_WARNING, "SIMULATED FEATURES ([simulated]): these figures say nothing about real actions."
)
_TITLES = {"top1": "top-1", "H": "H", "HM": "HM"}  # figure -> its title


class _Every:
    """The titles of a table that has every column."""

    def __contains__(self, title: object) -> bool:
        return True


def board_notes(board: Leaderboard, titles: Container[str] = _Every()) -> list[Note]:
    """Return what a reader of these rows should know; what makes a figure doubtful always has a short line.

    Parameters
    ----------
    titles
        The titles of the table's columns: no note explains another. By default there are all.
    """
    rows = board.rows
    notes = [SIMULATED_NOTE] if any(row.simulated for row in rows) else []
    notes += _figure_notes(rows, titles)
    notes += _list_notes(rows)
    pooled = dict.fromkeys(f"{row.table.semantics} of {row.pooled}." for row in rows if row.pooled)
    notes += [Note(line, line) for line in pooled]
    figures = ", ".join(sorted({row.ranked_by for row in rows}))
    column = " (column budget)" if "budget" in titles else ""
    across = "across information budgets" if board.mixed else f"within one information budget{column}"
    chance = " chance: 1 / number of classes scored against." if "chance %" in titles else ""
    notes.append(Note(f"Rank: by {figures}, {across}, within a table.{chance}"))
    notes += _mark_notes(rows)
    if any(len({row.splits for row in table if row.splits}) > 1 for table in board.tables.values()):
        notes.append(
            Note(
                "Some rows of a table ran on different splits; run the missing ones before you compare them.",
                "Rows of a table ran on different splits; run the missing ones to compare them.",
            )
        )
    notes += one_seed_note(
        list(dict.fromkeys(plain_name(row) for row in rows if row.reads_seed and len(row.seeds) == 1))
    )
    if any(row.n_splits != row.n_done for row in rows):
        notes.append(Note("Repeated splits of a family count once in the figures."))
    if any(row.reconstruction for row in rows):
        notes.append(
            Note(
                "[reconstruction]: equations that were not checked at their source.",
                "[reconstruction]: equations that were not checked at their source.",
            )
        )
    notes += _failure_notes(rows)
    notes += _change_notes(rows, titles) + _control_notes(rows)
    notes += [Note(line, line) for line in mark_notes(code for row in rows for code in row.codes)]
    if checked := [plain_name(row) for row in rows if row.checked]:
        notes.append(Note(f"Passed 'zslbench check' with this code: {some(list(dict.fromkeys(checked)))}."))
    if board.hidden:
        others = "older code, older data, or a bundle's other data"
        notes.append(
            Note(
                f"Hidden rows of {others}: {some(board.hidden)}. --all-versions shows them.",
                f"Hidden rows of other code or data: {len(board.hidden)}; --all-versions shows them.",
            )
        )
    return notes


def footnotes(board: Leaderboard, titles: Container[str] = _Every()) -> list[str]:
    """Return all notes as whole sentences; ``titles`` as in :func:`board_notes`."""
    return [note.text for note in board_notes(board, titles)]


def _figure_notes(rows: Sequence[Row], titles: Container[str]) -> Iterator[Note]:
    """Yield what the figures of each protocol are."""
    protocols = {row.table.protocol for row in rows}
    primaries = {PROTOCOLS[protocol].primary for protocol in protocols}
    named = " and ".join(_TITLES[name] for name in _TITLES if name in primaries)
    interval = f"Interval: 95 % of the mean {named} over classes (jackknife, logit scale; none below 5 classes)."
    sd = (
        "sd: standard deviation over distinct splits (ddof=1). Splits overlap, so it is neither a standard error nor a "
        "test."
    )
    explained = {"95 % over classes": interval, "sd over splits": sd}
    said = [text for title, text in explained.items() if title in titles]
    yield Note(" ".join([*said, "Seeds of a split are pooled."]))
    if "zsl" in protocols:
        text = "zsl: top-1 and top-5 count each video once; per-class top-1 is the mean over unseen classes."
        if any(row.figures and "top5" not in row.figures for row in rows if row.table.protocol == "zsl"):
            text += f" With at most {TOP} unseen classes there is no top-5: it is 100 by construction."
        yield Note(text)
    if supervised := [name for name in ("few-shot", "supervised") if name in protocols]:
        yield Note(f"{' and '.join(supervised)}: all classes were trained on; other videos of them are tested.")
    if "base-to-novel" in protocols:
        yield Note(
            "base-to-novel: base classes are offered with base ones only, novel with novel ones; each video counts "
            "once. HM: harmonic mean of base and novel, not the H of gzsl."
        )
    if "gzsl" in protocols:
        yield Note(
            "gzsl: S and U are means over seen and unseen classes; H is their harmonic mean per split. calibrated: "
            "stacking factor chosen on held-out seen classes. AUSUC: area under the seen-unseen curve."
        )


def _list_notes(rows: Sequence[Row]) -> Iterator[Note]:
    """Yield what to know of splits that are lists or draws of videos, and of classes that two datasets share."""
    tables = dict.fromkeys(row.table for row in rows)
    if any(PROTOCOLS[table.protocol].tested in ("seen", "apart") or "lists" in table.family for table in tables):
        yield Note(
            "Lists and draws of the same classes: their sd says how much the choice of videos matters. It is no "
            "interval over classes."
        )
    for dataset, family in dict.fromkeys((table.dataset, table.family) for table in tables):
        if shared := shared_text(dataset, family):
            yield Note(shared, shared)


def _failure_notes(rows: Sequence[Row]) -> Iterator[Note]:
    """Yield why rows lack figures."""
    if any(row.failures.keys() - {ONE_UNSEEN} for row in rows):
        yield Note(
            "without figures: failed cells, which are in no mean; the same command runs them again.",
            "without figures: failed cells, in no mean; the same command runs them again.",
        )
    if any(ONE_UNSEEN in row.failures for row in rows):
        yield Note(
            f"{ONE_UNSEEN}: in zsl every method recognises it, so such splits have no figures and no rank; choose a "
            "family with more unseen classes.",
            f"{ONE_UNSEEN}: no figures, because every method recognises it; choose another family.",
        )


def _mark_notes(rows: Sequence[Row]) -> Iterator[Note]:
    """Yield what the marks after the ranks mean, as far as these rows have them."""
    below = [row for row in rows if row.rank is not None and row.rank > 1]
    tested, untested = [row for row in below if not row.untested], [row for row in rows if row.untested]
    if any(row.near_best for row in tested):
        text = "~: no significant difference from rank 1 of the same table and budget."
        yield Note(text, text)
    if any(not row.near_best for row in tested):
        yield Note("A rank above 1 without a mark: significantly below rank 1.")
    if untested:
        reasons = ", ".join(sorted({row.untested for row in untested}))
        text = f"?: not tested against rank 1 ({reasons}), so it may be better or worse."
        yield Note(text, text)
    if tested:
        best = "truly best of the tested rows" if untested else "truly best row"
        marked = " or has the mark ~" if any(row.near_best for row in tested) else ""
        yield Note(
            "Test: paired t-test over classes on common splits, corrected for the number of rows. With 95 % "
            f"confidence, the {best} of a table and budget is rank 1{marked}. 'zslbench compare' shows more."
        )


def _change_notes(rows: Sequence[Row], titles: Container[str]) -> list[Note]:
    """Return what the columns of differences mean, as far as these rows have them."""
    gains = [row.gain for row in rows if row.gain and "gain over frozen" in titles]
    changes = [row for row in rows if row.control_change and "change by control" in titles]
    notes = []
    if gains:
        frozen = some(list(dict.fromkeys(gain.over.partition(" [")[0] for gain in gains)))
        notes.append(
            Note(
                f"gain over frozen: a trained row less {frozen}, which learns nothing, on the same features, class "
                "vectors, splits and control.",
            )
        )
    if changes:
        notes.append(Note("change by control: a row with a control less the same row without it."))
    if notes:
        notes.append(
            Note(
                "Differences are of the figure that has the interval, in points, with 95 % intervals over classes "
                "(paired by class on common splits; not corrected for the number of rows).",
            )
        )
    return notes


_CONTROLS = {
    "shuffled-frames": "frames in an order drawn from the video's id",
    "reversed": "frames from the last to the first",
    "single-frame": "the middle frame alone",
}


def _control_notes(rows: Sequence[Row]) -> list[Note]:
    """Return what the controls of these rows changed."""
    notes = []
    for control in sorted({row.control for row in rows if row.control}):
        kind, _, also = control.partition("+")
        videos = "training and test videos" if also else "test videos"
        notes.append(
            Note(
                f"[{control}]: a control, which has no rank: {videos} have {_CONTROLS[kind]}.",
                f"[{control}]: a control without a rank: {_CONTROLS[kind]}.",
            )
        )
    return notes


def one_seed_note(names: Sequence[str]) -> list[Note]:
    """Return the warning about methods that ran with one seed and read it; none without names."""
    if not names:
        return []
    return [
        Note(
            f"One seed: another seed may give {some(names)} other figures, by training or by the folds that choose a "
            "parameter. Run more before you compare them (--seed 0 --seed 1 --seed 2).",
            f"One seed: others may give other figures (--seed 0 --seed 1): {some(names, 3)}.",
        )
    ]
