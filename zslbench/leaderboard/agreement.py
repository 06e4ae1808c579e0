"""Compare published figures with measured ones, in a separate block with a status, without ranking them together.

A status of agreement needs the published system's features, class vectors and protocol. Without them the status is
``not comparable``, however near the figures are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.splits import parse_splits
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import Manifest, feature_path
from zslbench.ledger.published import Published, published_results
from zslbench.ledger.reported import datasets_here
from zslbench.method import Budget
from zslbench.protocols.settings import get_setting
from zslbench.semantics.spec import parse_spec
from zslbench.semantics.store import read_semantics_manifest
from zslbench.tables.document import Section
from zslbench.tables.notes import Note, note_lines
from zslbench.tables.writer import Column, interval_text, number_text, table_text

if TYPE_CHECKING:
    from zslbench.cells.rows import Row
    from zslbench.leaderboard.board import Leaderboard

Status = Literal["reproduced", "inconclusive", "differs", "not comparable", "not run"]
ONLY_SIMULATED = "only on simulated features, no video was looked at"  # why a figure is not compared
BLOCK_FORMATS = ("console", "markdown", "json")
# The ledger's name of a figure -> the name here.
LEDGER_FIGURES = {"mean-per-class": "top1_per_class"} | {name: name for name in ("top1", "top5", "base", "novel", "HM")}
_HEADERS = ("system", "dataset", "protocol", "metric", "published", "±", "its features", "marks", "source",
            "measured as", "measured", "95 % over classes", "on", "status")  # fmt: skip
_DROP = {"on": 7, "source": 6, "its features": 5, "metric": 4, "95 % over classes": 3, "measured as": 2, "marks": 1}
_LEAST = {"system": 18, "status": 18}
_IN_PAPERS = ("system", "dataset", "metric", "published", "measured as", "measured", "95 % over classes", "status")
_FEW_SPLITS = 5  # a mean over fewer splits is too uncertain to compare with one over all splits of a family
_OF_EXTRACTORS = ("L1", "L2")  # a published figure of the same extractor has these leaks, too
MEANINGS = (
    "reproduced: the measured mean is the published figure at its printed precision, or lies within the published ±. "
    "inconclusive: it is not, but the published figure lies in the 95 % interval of the measured one, or there is no "
    "interval. differs: the published figure lies outside of that interval.",
    "not comparable: features, class vectors or protocol are not those of the published figure, or not known to be; "
    f"or classes are missing, fewer than {_FEW_SPLITS} splits are done, or the measured figure leaks. not run: there "
    "is no measured figure.",
)
_NOTES = (
    Note(
        "Published figures are annotations. They are not ranked, neither among themselves nor with measured ones. "
        "'zslbench ledger SYSTEM' shows the caveats of each figure. quoted: read in a work that quotes the figure, not "
        "at its source.",
        "Published figures are not ranked; 'zslbench ledger SYSTEM' has their caveats.",
    ),
    *(Note(meaning) for meaning in MEANINGS),
)


@dataclass(frozen=True)
class Agreement:
    """A published figure and the measured one.

    Attributes
    ----------
    measured
        Mean, in the unit of the published figure; ``None`` if nothing was measured.
    low, high
        95 % interval over classes, in the same unit; NaN if there is none.

    Examples
    --------
    >>> found = compare_with_published(None, 48.1, 39.9, 56.4)
    >>> found.status, found.why
    ('not comparable', 'no published figure')
    """

    published: Published | None
    measured: float | None
    low: float
    high: float
    status: Status
    why: str


def compare_with_published(
    published: Published | None, measured: float | None, low: float = math.nan, high: float = math.nan,
    *, not_run: str = "", not_comparable: str = "",
) -> Agreement:  # fmt: skip
    """Compare a published figure with a measured one; :data:`MEANINGS` defines the statuses.

    Parameters
    ----------
    measured, low, high
        Figures in the unit of the published one; they are kept whatever the status is.
    not_run
        Why there is no measured figure.
    not_comparable
        Why the two figures are not of one experiment; empty if they are.
    """

    def ends(status: Status, why: str) -> Agreement:
        return Agreement(published, measured, low, high, status, why)

    if not_run or measured is None:
        return ends("not run", not_run or "no result")
    if published is None or not_comparable:
        return ends("not comparable", not_comparable if published else "no published figure")
    tolerance = published.spread if published.spread is not None else 0.5 * 10**-published.decimals
    distance = measured - published.value
    if abs(distance) <= tolerance * (1 + 1e-9):  # in binary, 31.25 - 31.2 is more than 0.05
        within = published.spread is not None
        return ends("reproduced", "within the published ±" if within else "equal at the printed precision")
    by = f"{abs(distance):.{published.decimals}f} {'above' if distance > 0 else 'below'} the published figure"
    if not math.isfinite(low):
        return ends("inconclusive", f"{by}; there is no interval")
    if low <= published.value <= high:
        return ends("inconclusive", f"{by}, which lies in the measured interval")
    return ends("differs", by)


@dataclass(frozen=True)
class Beside:
    """A published figure and the measured row of its system, if there is one.

    Examples
    --------
    >>> from zslbench.leaderboard.board import build_rows
    >>> [each.outcome.status for each in published_beside(build_rows([]))]
    []
    """

    published: Published
    row: Row | None
    outcome: Agreement


def published_beside(board: Leaderboard) -> list[Beside]:
    """Return the published figures of the settings in which the board's rows were measured, those with a row first.

    A row belongs to a system if the ledger names its method (with its preset, and no chosen parameter).
    """
    rows = [row for row in board if not row.control]
    chosen = (
        p for p in published_results() if p.metric in LEDGER_FIGURES and any(_same_task(row, p) for row in rows)
    )  # fmt: skip
    found = [each for published in chosen for each in _compared(published, rows)]
    return sorted(found, key=lambda each: (each.row is None, each.published.dataset, each.published.protocol))


def _same_task(row: Row, published: Published) -> bool:
    """Return whether both are of one setting; a figure without one counts by its dataset and the name of its splits.

    A figure that stands apart is shown beside all rows of its dataset and kind of protocol.
    """
    dataset, protocol, family = row.table.dataset, row.table.protocol, row.table.family
    if published.apart:
        return (dataset, protocol) == (published.dataset, published.kind)
    if published.setting is not None:
        return dataset in datasets_here(published) and get_setting(published.setting).measured_by(
            dataset, protocol, family
        )
    same = family == published.protocol or family.endswith(f"-{published.protocol}")
    return protocol == "zsl" and dataset == published.dataset and same


def other_protocol(row: Row, published: Published | None) -> str:
    """Return why a row was not measured as a published figure of the same kind of splits; empty if it was."""
    if row.simulated:
        return ONLY_SIMULATED
    ratio, chance = re.match(r"\d+/(\d+)", published.protocol if published else ""), row.figures.get("chance")
    if ratio and chance:
        whole = len(get_dataset(row.table.dataset).classes) * int(ratio[1]) / 100
        if abs(1 / chance - whole) > 1:  # a share of an odd number of classes is rounded up or down
            return f"on {1 / chance:.0f} unseen classes, the published figure on {whole:.0f}"
    if leaks := [code for code in row.leaks if code not in _OF_EXTRACTORS]:
        return f"the row leaks ({', '.join(leaks)}; see 'zslbench audit')"
    wanted = _number_of_splits(row, published)
    if row.n_done < min(_FEW_SPLITS, wanted):
        return f"only {row.n_done} of {wanted} splits are done"
    if row.n_done > wanted:
        return f"over {row.n_done} splits, the published figure over the first {wanted}"
    if published and Budget.AUXILIARY_VIDEOS in row.budget and not published.auxiliary_data:
        return "also trained on videos of another dataset"
    return ""


def _number_of_splits(row: Row, published: Published | None) -> int:
    """Return the number of splits that a published mean is over, or that of the row's family if it is not known."""
    if published is None or published.setting is None or (splits := get_setting(published.setting).splits) == "all":
        return row.n_all
    return len(parse_splits(splits, row.n_all))


def same_extractor(manifest: Manifest, extractor: str, trained_on: str) -> bool:
    """Return whether features come from an extractor, in any of its layers, that was trained on the same data."""
    trained = {_plain(name) for name in manifest.trained_on}
    right = not trained_on or _plain(trained_on) in trained
    return bool(extractor) and _plain(manifest.extractor).startswith(_plain(extractor)) and right


def is_extractor(manifest: Manifest, features: str) -> bool:
    """Return whether features are those that the ledger calls ``EXTRACTOR-TRAINED_ON``, or by the whole name."""
    extractor, _, trained_on = features.partition("-")
    return same_extractor(manifest, extractor, trained_on) or same_extractor(manifest, features, "")


def manifest_of(row: Row) -> Manifest | None:
    """Return the manifest of a row's feature set, or ``None`` if it is not on this machine."""
    try:
        manifest = open_features(get_dataset(row.table.dataset), row.table.features).manifest
    except ZslbenchError:
        return None
    return manifest if manifest.digest == row.features_digest else None


def same_class_vectors(semantics: str, wanted: str) -> bool:
    """Return whether a source of class vectors is of the wanted kind, such as ``word2vec``."""
    return re.split(r"[-:]", semantics)[0] == wanted


def _other_inputs(row: Row, published: Published) -> str:
    """Return why a row's features or class vectors are not those of a published figure, as far as both are known."""
    if not published.features:
        return "the features of the published figure are not known"
    manifest = manifest_of(row)
    if manifest is None:
        return f"the feature set {row.table.features} is not here, so its extractor is not known"
    same_model = "/" in published.features and published.features == _model_on_hub(row)
    if not (same_model or is_extractor(manifest, published.features)):
        extractor = manifest.extractor.partition(" {")[0]  # without its parameters
        return f"on features of {extractor}, the published figure on {published.features}"
    if not published.class_vectors:
        return "the class vectors of the published figure are not known"
    if same_model and published.class_vectors == published.features:
        return _other_prompts(row, manifest, published)
    if not same_class_vectors(row.table.semantics, published.class_vectors):
        return f"with class vectors {row.table.semantics}, the published figure with {published.class_vectors}"
    return ""


def _model_on_hub(row: Row) -> str | None:
    """Return the hub's name of the model that a row's features were extracted with, if there is one."""
    from zslbench.video.recipe import read_recipe

    try:
        return read_recipe(feature_path(row.table.dataset, row.table.features)).model
    except ZslbenchError:  # features that were not extracted here
        return None


def _other_prompts(row: Row, manifest: Manifest, published: Published) -> str:
    """Return why a row's class vectors are not those of the same model and prompt; empty if they are."""
    try:
        held = read_semantics_manifest(parse_spec(row.table.semantics)[0])
    except ZslbenchError:
        held = None
    if held is None or not held.weights or held.weights != manifest.weights_digest:
        return f"with class vectors {row.table.semantics}, the published figure with those of the features' model"
    prompt, own = published.setup.get("prompt", ""), held.prompts.get(row.table.dataset, "")
    if own.partition("template=")[2] != prompt:
        return f"with the prompts {own or '?'}, the published figure with {prompt!r}"
    return ""


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())


def _compared(published: Published, rows: Sequence[Row]) -> Iterator[Beside]:
    if published.apart:
        yield Beside(published, None, Agreement(published, None, math.nan, math.nan, "not comparable", published.apart))
        return
    same = [
        row for row in rows
        if row.label == published.method and not row.chosen and row.figures and _same_task(row, published)
    ]  # fmt: skip
    for row in same:
        name = LEDGER_FIGURES[published.metric]
        low, high = ("low", "high") if name == row.primary else ("", "")
        measured, below, above = (100 * row.figures.get(key, math.nan) for key in (name, low, high))
        why = other_protocol(row, published) or _other_inputs(row, published)
        yield Beside(published, row, compare_with_published(published, measured, below, above, not_comparable=why))
    if not same:
        why = f"no row of {published.method} above" if published.method else "no method here reproduces it"
        yield Beside(published, None, compare_with_published(published, None, not_run=why))


def published_section(board: Leaderboard, *, paper: bool = False) -> Section[dict[str, Any]]:
    """Return the block as a table with its notes; a paper has place for fewer columns."""
    headers = _IN_PAPERS if paper else _HEADERS
    columns = [Column[dict[str, Any]](name, itemgetter(name)) for name in headers]
    return Section(
        columns,
        block_rows(board),
        "Published, not measured here",
        key="published",
        notes=[note.text for note in _NOTES],
    )


def published_block(board: Leaderboard, fmt: str, *, explain: bool = False) -> str:
    """Return the block as text: ``console`` or ``markdown``; ``explain`` prints all notes on a console."""
    columns = [Column(name, itemgetter(name), least=_LEAST.get(name), drop=_DROP.get(name, 0)) for name in _HEADERS]
    title = "## Published" if fmt == "markdown" else "PUBLISHED, NOT MEASURED HERE"
    return "\n".join(
        [title, "", table_text(fmt, columns, block_rows(board)), "", *note_lines(fmt, _NOTES, explain=explain)]
    )


def block_rows(board: Leaderboard) -> list[dict[str, Any]]:
    """Return one mapping per line of the block, with values as text."""
    return [
        {
            "system": each.published.system,
            "dataset": each.published.dataset,
            "protocol": each.published.protocol,
            "metric": each.published.metric,
            "published": each.published.text,
            "±": each.published.spread_text,
            "its features": each.published.features or "?",
            "marks": ", ".join(each.published.marks),
            "source": _short(each.published.source),
            "measured as": each.row.name if each.row else "-",
            "measured": number_text(each.outcome.measured),
            "95 % over classes": interval_text(each.outcome.low, each.outcome.high),
            "on": f"{each.row.table.features}, {each.row.table.family}, {each.row.table.semantics}"
            if each.row
            else "-",
            "status": f"{each.outcome.status}: {each.outcome.why}",
        }
        for each in published_beside(board)
    ]


def _short(source: str) -> str:
    """Return a source without its parentheses: ``Action2Vec, Table 1``."""
    return re.sub(r" \([^)]*\)", "", source)
