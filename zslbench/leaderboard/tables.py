"""Write a leaderboard as text: console, Markdown, LaTeX and HTML for people, CSV and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from zslbench.audit.inputs import mark_notes
from zslbench.cells.rows import ONE_UNSEEN, Change, Row
from zslbench.errors import some
from zslbench.families.catalog import distinct_splits, shared_text
from zslbench.leaderboard.comparison import plain_name
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.stats.metrics import TOP
from zslbench.tables.writer import Column, csv_text, escape, listed, share_text, table_text, without_nan

if TYPE_CHECKING:
    from zslbench.leaderboard.board import Leaderboard

SIMULATED_WARNING = (
    "SIMULATED FEATURES in rows marked [simulated]: no video was looked at, and their figures say nothing about "
    "recognising real actions."
)


def _figure(header: str, cell: Callable[[Row], str]) -> Column[Row]:
    return Column(header, cell, "right")


def _percent(name: str, header: str) -> Column[Row]:
    return _figure(header, lambda row: share_text(row.figures.get(name)))


def _interval(row: Row) -> str:
    low, high = share_text(row.figures.get("low")), share_text(row.figures.get("high"))
    return "-" if low == "-" else f"[{low}, {high}]"


def splits_text(row: Row) -> str:
    """Return how many splits of a family are finished: ``2/50``, or ``1 of 47 distinct`` if some repeat."""
    seeds = f", {len(row.seeds)} seeds" if len(row.seeds) > 1 else ""
    known = distinct_splits(row.table.dataset, row.table.family)
    if row.n_done < row.n_all and len(known) < row.n_all and row.splits and row.splits <= known:
        return f"{row.n_splits} of {len(known)} distinct{seeds}"
    distinct = f" ({row.n_splits} distinct)" if row.n_splits != row.n_done else ""
    return f"{row.n_done}/{row.n_all}{distinct}{seeds}"


def _failures(row: Row) -> str:
    return ", ".join(f"{n} {state}" for state, n in sorted(row.failures.items())) or "-"


def fit_seconds(row: Row) -> str:
    """Return the mean time per fit, as text for a table."""
    seconds = row.figures.get("fit_seconds")
    if seconds is None:
        return "-"
    return "<0.01" if seconds < 0.01 else f"{seconds:.2f}" if seconds < 100 else f"{seconds:.0f}"


def _rank(row: Row) -> str:
    """Return the rank; ``~`` means no significant difference from the best, ``?`` that this was not tested."""
    if row.rank is None:
        return "-"
    if row.untested:
        return f"{row.rank} ?"
    return f"{row.rank} ~" if row.near_best and row.rank > 1 else str(row.rank)


def _change(change: Change | None) -> str:
    """Return a difference in points with its interval."""
    if change is None:
        return "-"
    found = change.difference
    mean, low, high = (f"{100 * each:+z.1f}" for each in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


_INTERVAL = _figure("95 %\nover classes", _interval)
_SPREAD = _percent("split_std", "sd over\nsplits")
_ZSL = (_percent("top1", "top-1 %"), _INTERVAL, _SPREAD, _percent("top1_per_class", "per-class\ntop-1 %"),
        _percent("top5", "top-5 %"))  # fmt: skip
_GZSL = (_percent("H", "H %"), _INTERVAL, _SPREAD, _percent("S", "S %"), _percent("U", "U %"),
         _percent("H_calibrated", "H cali-\nbrated %"), _percent("AUSUC", "AUSUC %"))  # fmt: skip
_NOVEL = (_percent("HM", "HM %"), _INTERVAL, _SPREAD, _percent("base", "base %"), _percent("novel", "novel %"),
          _percent("top1_per_class", "per-class\ntop-1 %"))  # fmt: skip
_COLUMNS = {"both": _GZSL, "apart": _NOVEL}  # tested -> columns
_BEFORE: tuple[Column[Row], ...] = (Column("method", lambda row: row.name), _figure("rank", _rank))
_AFTER: tuple[Column[Row], ...] = (
    _percent("chance", "chance\n%"), _figure("splits", splits_text), _figure("fit s", fit_seconds),
    Column("budget", lambda row: " + ".join(row.budget) or "nothing"),
)  # fmt: skip
_FAILED = Column("without\nfigures", _failures)
_GAIN = _figure("gain over\nfrozen", lambda row: _change(row.gain))
_CONTROL = _figure("change by\ncontrol", lambda row: _change(row.control_change))


def columns_of(rows: list[Row]) -> tuple[Column[Row], ...]:
    """Return the columns of a table of these rows."""
    figures = _COLUMNS.get(PROTOCOLS[rows[0].table.protocol].tested, _ZSL)
    changes = (
        *((_GAIN,) if any(row.gain for row in rows) else ()),
        *((_CONTROL,) if any(row.control_change for row in rows) else ()),
    )
    return (*_BEFORE, *figures, *changes, *_AFTER, *((_FAILED,) if any(row.failures for row in rows) else ()))


_TITLES = {"top1": "top-1", "H": "H", "HM": "HM"}  # figure -> its title


def _list_notes(rows: Sequence[Row]) -> list[str]:
    """Return what to know of splits that are lists or draws of videos, and of classes that two datasets share."""
    notes = []
    tables = dict.fromkeys(row.table for row in rows)
    if any(PROTOCOLS[table.protocol].tested in ("seen", "apart") or "lists" in table.family for table in tables):
        notes.append(
            "Lists and draws of the same classes: their sd says how much the choice of videos matters. It is no "
            "interval over classes."
        )
    for dataset, family in dict.fromkeys((table.dataset, table.family) for table in tables):
        if shared := shared_text(dataset, family):
            notes.append(shared)
    return notes


def footnotes(board: Leaderboard) -> list[str]:
    """Return the sentences that every reader of these rows needs."""
    rows = board.rows
    protocols = {row.table.protocol for row in rows}
    notes = [SIMULATED_WARNING] if any(row.simulated for row in rows) else []
    primaries = {PROTOCOLS[protocol].primary for protocol in protocols}
    named = " and ".join(_TITLES[name] for name in _TITLES if name in primaries)
    notes.append(
        f"Interval: 95 % of the mean {named} over classes (jackknife, logit scale; none below 5 classes). "
        "sd: standard deviation over distinct splits (ddof=1). Splits overlap, so it is neither a standard error "
        "nor a test. Seeds of a split are pooled."
    )
    if "zsl" in protocols:
        notes.append("zsl: top-1 and top-5 count each video once; per-class top-1 is the mean over unseen classes.")
        if any(row.figures and "top5" not in row.figures for row in rows if row.table.protocol == "zsl"):
            notes[-1] += f" With at most {TOP} unseen classes there is no top-5: it is 100 by construction."
    if supervised := [name for name in ("few-shot", "supervised") if name in protocols]:
        notes.append(f"{' and '.join(supervised)}: all classes were trained on; other videos of them are tested.")
    if "base-to-novel" in protocols:
        notes.append(
            "base-to-novel: base classes are offered with base ones only, novel with novel ones; each video counts "
            "once. HM: harmonic mean of base and novel, not the H of gzsl."
        )
    notes += _list_notes(rows)
    if "gzsl" in protocols:
        notes.append(
            "gzsl: S and U are means over seen and unseen classes; H is their harmonic mean per split. calibrated: "
            "stacking factor chosen on held-out seen classes. AUSUC: area under the seen-unseen curve."
        )
    figures = ", ".join(sorted({row.ranked_by for row in rows}))
    across = "across information budgets" if board.mixed else "within one information budget (column budget)"
    notes.append(f"Rank: by {figures}, {across}, within a table. chance: 1 / number of classes scored against.")
    notes += _mark_notes(rows)
    if any(len({row.splits for row in table if row.splits}) > 1 for table in board.tables.values()):
        notes.append("Some rows of a table ran on different splits; run the missing ones before you compare them.")
    notes += one_seed_note(
        list(dict.fromkeys(plain_name(row) for row in rows if row.reads_seed and len(row.seeds) == 1))
    )
    if any(row.n_splits != row.n_done for row in rows):
        notes.append("Repeated splits of a family count once in the figures.")
    if any(row.reconstruction for row in rows):
        notes.append("[reconstruction]: equations that were not checked at their source.")
    if any(row.failures.keys() - {ONE_UNSEEN} for row in rows):
        notes.append("without figures: failed cells, which are in no mean; the same command runs them again.")
    if any(ONE_UNSEEN in row.failures for row in rows):
        notes.append(
            f"{ONE_UNSEEN}: in zsl every method recognises it, so such splits have no figures and no rank; choose a "
            "family with more unseen classes."
        )
    notes += _change_notes(rows) + _control_notes(rows)
    notes += mark_notes(code for row in rows for code in row.leaks)
    if checked := [plain_name(row) for row in rows if row.checked]:
        notes.append(f"Passed 'zslbench check' with this code: {some(list(dict.fromkeys(checked)))}.")
    if board.hidden:
        others = "older code, older data, or a bundle's other data"
        notes.append(f"Hidden rows of {others}: {some(board.hidden)}. --all-versions shows them.")
    return notes


def _mark_notes(rows: Sequence[Row]) -> list[str]:
    """Return what the marks after the ranks mean, as far as these rows have them."""
    below = [row for row in rows if row.rank is not None and row.rank > 1]
    tested, untested = [row for row in below if not row.untested], [row for row in rows if row.untested]
    notes = []
    if any(row.near_best for row in tested):
        notes.append("~: no significant difference from rank 1 of the same table and budget.")
    if any(not row.near_best for row in tested):
        notes.append("A rank above 1 without a mark: significantly below rank 1.")
    if untested:
        reasons = ", ".join(sorted({row.untested for row in untested}))
        notes.append(f"?: not tested against rank 1 ({reasons}), so it may be better or worse.")
    if tested:
        best = "truly best of the tested rows" if untested else "truly best row"
        marked = " or has the mark ~" if any(row.near_best for row in tested) else ""
        notes.append(
            "Test: paired t-test over classes on common splits, corrected for the number of rows. With 95 % "
            f"confidence, the {best} of a table and budget is rank 1{marked}. 'zslbench compare' shows more."
        )
    return notes


def _change_notes(rows: Sequence[Row]) -> list[str]:
    """Return what the columns of differences mean, as far as these rows have them."""
    gains, changes = [row.gain for row in rows if row.gain], [row for row in rows if row.control_change]
    notes = []
    if gains:
        frozen = some(list(dict.fromkeys(gain.over.partition(" [")[0] for gain in gains)))
        notes.append(
            f"gain over frozen: a trained row less {frozen}, which learns nothing, on the same features, class "
            "vectors, splits and control."
        )
    if changes:
        notes.append("change by control: a row with a control less the same row without it.")
    if notes:
        notes.append(
            "Differences are of the figure that has the interval, in points, with 95 % intervals over classes "
            "(paired by class on common splits; not corrected for the number of rows)."
        )
    return notes


_CONTROLS = {
    "shuffled-frames": "frames in an order drawn from the video's id",
    "reversed": "frames from the last to the first",
    "single-frame": "the middle frame alone",
}


def _control_notes(rows: Sequence[Row]) -> list[str]:
    """Return what the controls of these rows changed."""
    notes = []
    for control in sorted({row.control for row in rows if row.control}):
        kind, _, also = control.partition("+")
        videos = "training and test videos" if also else "test videos"
        notes.append(f"[{control}]: a control, which has no rank: {videos} have {_CONTROLS[kind]}.")
    return notes


def one_seed_note(names: Sequence[str]) -> list[str]:
    """Return the warning about methods that ran with one seed and read it; none without names."""
    if not names:
        return []
    return [
        f"One seed: another seed may give {some(names)} other figures, by training or by the folds that choose a "
        "parameter. Run more before you compare them (--seed 0 --seed 1 --seed 2)."
    ]


def _sections(board: Leaderboard, fmt: str) -> list[tuple[str, str]]:
    """Return (title, table) pairs."""
    sections = []
    for table, rows in board.tables.items():
        simulated = "SIMULATED FEATURES: " if any(row.simulated for row in rows) else ""
        sections.append((escape(fmt, simulated + table.title), table_text(fmt, columns_of(rows), rows)))
    return sections


def _plain(board: Leaderboard, fmt: str) -> str:
    """Return the tables as a console shows them, or as Markdown."""
    level = "### " if fmt == "markdown" else ""
    parts = [f"{level}{title}\n\n{text}\n" for title, text in _sections(board, fmt)]
    return "\n".join([*parts, *listed(fmt, footnotes(board))])


def _latex(board: Leaderboard) -> str:
    """Return one table environment per table; they need the packages booktabs and graphicx."""
    tables = []
    for rows, (title, text) in zip(board.tables.values(), _sections(board, "latex"), strict=True):
        notes = escape("latex", " ".join(footnotes(replace(board, rows=tuple(rows)))))
        tables.append(
            f"\\begin{{table}}\n\\centering\n\\caption{{{title}}}\n"
            f"\\resizebox{{\\textwidth}}{{!}}{{%\n{text}}}\n\n\\footnotesize {notes}\n\\end{{table}}"
        )
    return "% needs \\usepackage{booktabs,graphicx}\n" + "\n\n".join(tables)


_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>zslbench leaderboard</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .25rem .7rem; border-bottom: 1px solid #ddd; white-space: nowrap }}
th {{ border-bottom: 2px solid #888 }}
.wide {{ overflow-x: auto }}
.warning {{ background: #b00020; color: #fff; padding: .6rem 1rem; font-weight: bold }}
ul {{ max-width: 60rem; color: #555; font-size: .9em }}
</style>
</head>
<body>
<h1>zslbench leaderboard</h1>
{body}
</body>
</html>"""


def html_body(board: Leaderboard) -> str:
    """Return the tables and notes of a leaderboard as HTML, without a page around them."""
    warning = f'<p class="warning">{SIMULATED_WARNING}</p>\n' if any(row.simulated for row in board.rows) else ""
    body = "\n".join(
        f'<h2>{title}</h2>\n<div class="wide">\n{text}\n</div>' for title, text in _sections(board, "html")
    )
    notes = "\n".join(f"<li>{escape('html', note)}</li>" for note in footnotes(board))
    return f"{warning}{body}\n<ul>\n{notes}\n</ul>"


def _html(board: Leaderboard) -> str:
    return _PAGE.format(body=html_body(board))


def row_facts(row: Row) -> dict[str, Any]:
    """Return a row for programs; the first keys are the most important."""
    facts = {
        "method": row.name,
        "rank": row.rank,
        "ranked_by": row.ranked_by,
        "no_significant_difference_from_best": row.near_best,
        "not_tested": row.untested,
        "leaks": list(row.leaks),
        "checked": row.checked,
        **row.table._asdict(),
        "simulated": row.simulated,
        "reconstruction": row.reconstruction,
        "budget": " + ".join(row.budget),
        "label": row.label,
        "params": row.params,
        "version": row.version,
        "seeds": list(row.seeds),
        "splits_done": row.n_done,
        "splits_all": row.n_all,
        "splits_distinct": row.n_splits,
        "without_figures": row.failures,
        **{LONG_NAMES.get(key, key): value for key, value in row.figures.items()},
        **({"control": row.control} if row.control else {}),
        **_change_facts("gain_over_frozen", row.gain),
        **_change_facts("change_by_control", row.control_change),
    }
    return without_nan(facts)


def _change_facts(name: str, change: Change | None) -> dict[str, Any]:
    if change is None:
        return {}
    found = change.difference
    low, high = f"{name}_low_95_over_classes", f"{name}_high_95_over_classes"
    return {name: found.mean, low: found.low, high: found.high, f"{name}_against": change.over}


# CSV and JSON have no footnotes, so these names say what a spread is over.
LONG_NAMES = {"low": "low_95_over_classes", "high": "high_95_over_classes", "split_std": "sd_over_splits_ddof1"}


def _csv(board: Leaderboard) -> str:
    return csv_text(row_facts(row) for row in board.rows)


def _json(board: Leaderboard) -> str:
    content = {"rows": [row_facts(row) for row in board.rows], "hidden": board.hidden, "notes": footnotes(board)}
    return json.dumps(content, indent=1, ensure_ascii=False)


_WRITERS: dict[str, Callable[[Leaderboard], str]] = {
    "console": partial(_plain, fmt="console"), "markdown": partial(_plain, fmt="markdown"), "latex": _latex,
    "csv": _csv, "json": _json, "html": _html,
}  # fmt: skip
BOARD_FORMATS = tuple(_WRITERS)


def write_table(board: Leaderboard, fmt: str = "console") -> str:
    """Return a leaderboard in one of :data:`BOARD_FORMATS`, without a newline at its end."""
    return _WRITERS[fmt](board)
