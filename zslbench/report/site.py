"""A static leaderboard over many results folders and bundles: a page with filters, and a page per row.

The sources become the imported bundles of one temporary results folder. So rows of several sources are ranked and
tested together, and keep the name of their source.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zslbench.audit.audit import audit_records
from zslbench.audit.findings import Finding, Severity
from zslbench.bundles.card import BundleCard, imported_card
from zslbench.bundles.exchange import import_bundle
from zslbench.cells.cell import PREDICTIONS
from zslbench.cells.rows import Row, Table, current_rows, grouped
from zslbench.cells.store import IMPORTED, Record, Store
from zslbench.digests import digest
from zslbench.errors import NotFoundError, ZslbenchError, some
from zslbench.files import new_directory
from zslbench.leaderboard.board import Leaderboard, build_rows
from zslbench.leaderboard.notes import SIMULATED_WARNING, footnotes
from zslbench.leaderboard.tables import columns_of, row_facts, splits_text
from zslbench.proof.verify import Verification, verify
from zslbench.report._content import row_id
from zslbench.report._intervals import TITLES
from zslbench.report._origins import read_origins
from zslbench.report.page import Page
from zslbench.tables.writer import Shown, interval_text, share_text
from zslbench.version import __version__

FILTERED = ("dataset", "protocol", "features", "budget")
_HEADERS = ("method", "rank", "figure", "%", "95 % over classes", "source", "verified", "audit", "command",
            *FILTERED[:3], "class vectors", "splits", "budget")  # fmt: skip
_FACTS = "site.json"  # the rows for programs; a folder without it is no site, and is not replaced
_SHOWN = 4


@dataclass(frozen=True)
class SiteSource:
    """A results folder or bundle, and what its verification found.

    Examples
    --------
    >>> SiteSource("lab", Path("runs"), Verification()).said
    '0 cells, nothing wrong'
    """

    name: str
    folder: Path
    verified: Verification
    card: BundleCard | None = None

    @property
    def said(self) -> str:
        """The verdict in a few words."""
        wrong = len({defect.where for defect in self.verified.defects})
        cells = self.verified.n_cells
        return f"{number_of(cells, 'cell')}, {f'{wrong:,} wrong' if wrong else 'nothing wrong'}"


@dataclass(frozen=True)
class _Entry:
    """A row of the site with its checks."""

    row: Row
    records: tuple[Record, ...]
    problems: tuple[str, ...]
    findings: tuple[Finding, ...]
    commands: tuple[str, ...] = field(default=())

    @property
    def page(self) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", self.row.name.lower()).strip("-")[:40]
        return f"rows/{slug}-{digest([str(part) for part in row_id(self.row)])[:10]}.html"


def number_of(n: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> number_of(1, "row"), number_of(1000, "row")
    ('1 row', '1,000 rows')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def write_site(
    folder: Path, paths: Sequence[Path], *, title: str = "Leaderboard", replace: bool = False,
    tell: Callable[[int, int], None] = lambda done, total: None, warn: Callable[[str], None] = lambda text: None,
) -> int:  # fmt: skip
    """Write a site into a new folder, completely or not at all, and return its number of rows.

    Parameters
    ----------
    paths
        Results folders and bundles, each verified first.
    replace
        Whether to replace a site that is there.
    tell
        Called with (pages done, all pages).
    warn
        Called with a sentence about each source that has wrong cells, or runs of another source.

    Raises
    ------
    NotFoundError
        A path does not exist, or has no readable cell.
    ZslbenchError
        A bundle disagrees with itself, a path is given twice, or the folder is there and is no site.
    """
    if folder.exists() and not (replace and (folder / _FACTS).is_file()):
        way = "it is no site of zslbench; choose another folder" if replace else "choose another one, or add --replace"
        raise ZslbenchError(f"{folder} already exists; {way}.")
    with _gathered(paths) as (store, sources):
        records = store.records()
        found = build_rows(records)
        # Every row is of a bundle here, which the column of sources says.
        board = dataclasses.replace(found, rows=tuple(dataclasses.replace(row, name=_plain(row)) for row in found))
        entries = list(_entries(board, store, sources))
        wrong = [f"{each.name}: {each.said} ({_wrong(each)})" for each in sources.values() if each.verified.defects]
        with new_directory(folder, replace=replace) as work:
            (work / "rows").mkdir()
            for done, entry in enumerate(entries):
                tell(done, len(entries) + 1)
                _row_page(entry, board, title, store).write(work / entry.page)
            _index(board, entries, sources, title).write(work / "index.html")
            (work / _FACTS).write_text(json.dumps(_facts(entries), indent=1, ensure_ascii=False), encoding="utf-8")
        tell(len(entries) + 1, len(entries) + 1)
    for text in (*_shared(records), *wrong):
        warn(text)
    return len(entries)


def _plain(row: Row) -> str:
    return row.name.replace(f" [imported: {row.origin}]", "")


@contextlib.contextmanager
def _gathered(paths: Sequence[Path]) -> Iterator[tuple[Store, dict[str, SiteSource]]]:
    """Yield a temporary results folder whose imported bundles are the sources, all verified."""
    with tempfile.TemporaryDirectory(prefix="zslbench-") as scratch:
        store, sources = Store(Path(scratch)), dict[str, SiteSource]()
        store.imported.mkdir()
        for path in paths:
            if not path.exists():
                raise NotFoundError(f"there is no results folder or bundle {path}; check the path.")
        for path, called in zip(paths, _called(paths), strict=True):
            name = _free(called, sources)
            if path.is_file():
                bundle = import_bundle(store, path, name)
                sources[name] = SiteSource(name, path, verify(Store(store.imported / name)), bundle)
                continue
            own = Store(path)
            parts = [
                (name, own),
                *((_free(f"{name}-{each}", sources), bundle) for each, bundle in own.bundles().items()),
            ]
            for each, part in parts:
                (store.imported / each).symlink_to(part.root.resolve(), target_is_directory=True)
                card = imported_card(own, part.root.name) if part is not own else None
                sources[each] = SiteSource(each, path, _verified(part), card)
            if not any(part.scan_own()[0] for _, part in parts):
                raise NotFoundError(f"no result is stored in {path}; run something first, or leave it out.")
        yield store, sources


def _verified(store: Store) -> Verification:
    """Verify a folder without the bundles in it, which are sources of their own."""
    found = verify(store)
    found.defects = [defect for defect in found.defects if not defect.where.startswith(f"{IMPORTED}/")]
    return found


def _called(paths: Sequence[Path]) -> list[str]:
    """Return a name per path: its own, with those of its parents if another path has the same."""
    found = [path.resolve() for path in paths]
    if twice := [str(path) for path, place in zip(paths, found, strict=True) if found.count(place) > 1]:
        raise ZslbenchError(f"{' and '.join(twice)} are the same place; give each source once.")
    parts = [(*path.parent.parts, path.stem if path.is_file() else path.name) for path in found]
    return [
        "-".join(next(
            (own[-n:] for n in range(1, len(own)) if [each[-n:] for each in parts].count(own[-n:]) == 1), own[-1:]
        ))
        for own in parts
    ]  # fmt: skip


def _shared(records: Sequence[Record]) -> Iterator[str]:
    """Yield a sentence about each pair of sources that hold the same runs, whose rows are there twice."""
    runs: dict[tuple[object, ...], list[str]] = {}
    for record in records:
        runs.setdefault((record.cell.id, record.result.started, record.result.finished), []).append(record.origin)
    for names, n in Counter(tuple(sorted(names)) for names in runs.values() if len(names) > 1).items():
        same = f"{' and '.join(names)} hold the same {number_of(n, 'run')}"
        yield f"{same}, whose rows appear twice; leave one of them out."


def _free(name: str, taken: dict[str, SiteSource]) -> str:
    """Return a name for a source that none has yet."""
    base = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:40] or "results"
    n, found = 1, base
    while found in taken:
        n += 1
        found = f"{base}-{n}"
    return found


def _entries(board: Leaderboard, store: Store, sources: dict[str, SiteSource]) -> Iterator[_Entry]:
    """Yield the rows with their cells and checks."""
    pairs, _ = current_rows(store.records())
    cells = {row_id(row): tuple(group) for row, group in pairs}
    names = {row_id(row): row.name for row, _ in pairs}
    tables = grouped(pairs, lambda pair: pair[0].table)
    found: dict[Table, list[Finding]] = {
        table: audit_records([record for _, group in of for record in group], store) for table, of in tables.items()
    }
    defects = {name: {each.where: each.what for each in source.verified.defects} for name, source in sources.items()}
    for row in board:
        records = cells[row_id(row)]
        wrong = defects[row.origin]
        problems = tuple(wrong[record.cell.id] for record in records if record.cell.id in wrong)
        counted = {line: of.total() for line, of in read_origins(store, {("", ""): records}).commands.items() if line}
        yield _Entry(
            row,
            records,
            problems,
            tuple(each for each in found[row.table] if names[row_id(row)] in each.rows),
            tuple(sorted(counted, key=lambda line: -counted[line])),
        )


def _index(board: Leaderboard, entries: Sequence[_Entry], sources: dict[str, SiteSource], title: str) -> Page:
    written = time.strftime("%Y-%m-%d", time.localtime())
    size = f"{number_of(len(entries), 'row')} of {number_of(len(sources), 'source')}"
    page = Page(
        title,
        f"{size}. Written {written} by zslbench {__version__}.",
        warning=SIMULATED_WARNING if any(row.simulated for row in board) else "",
    )
    page.section("Rows", "Ranks are within one table (dataset, features, protocol, splits, class vectors) and one "
                 "information budget. A method's name leads to its command and checks.")  # fmt: skip
    page.table(_HEADERS, list(map(_cells, entries)), filters=FILTERED)
    page.section("Sources", "The figures were computed again from the predictions. What could not be is named.")
    rows = [
        [name, source.said, _wrong(source), "; ".join(source.verified.unchecked) or "nothing", _made(source)]
        for name, source in sources.items()
    ]
    page.table(["source", "verified", "what is wrong", "not checked", "made"], rows)
    cards = [source.card for source in sources.values() if source.card]
    page.bullets(dict.fromkeys(text for card in cards for text in (*card.licences, *card.citations)))
    page.section("What the columns mean")
    page.bullets(footnotes(board))
    page.links([("The rows for programs", _FACTS)])
    return page


def _wrong(source: SiteSource) -> str:
    return (
        some([f"{each.where}: {each.what}" for each in source.verified.defects], _SHOWN)
        if source.verified.defects
        else "-"
    )


def _made(source: SiteSource) -> str:
    return f"bundle of zslbench {source.card.zslbench}, {source.card.created}" if source.card else "results folder"


def _cells(entry: _Entry) -> list[Any]:
    row = entry.row
    value, low, high = (row.figures.get(name) for name in (row.primary, "low", "high"))
    interval = "-" if low is None or high is None else interval_text(100 * low, 100 * high)
    mark = next(column for column in columns_of([row]) if column.title == "rank").cell(row)
    return [
        Shown(row.name, link=entry.page), Shown(mark, row.rank), TITLES[row.primary],
        Shown(share_text(value), value), Shown(interval, low), row.origin,
        _verdict(entry)._replace(link=f"{entry.page}#checks"), _audit(entry)._replace(link=f"{entry.page}#checks"),
        Shown("show", link=f"{entry.page}#command"),
        row.table.dataset, row.table.protocol, row.table.features, row.table.semantics,
        f"{row.table.family}, {splits_text(row)}", " + ".join(row.budget) or "nothing",
    ]  # fmt: skip


def _verdict(entry: _Entry) -> Shown:
    return Shown(f"no: {entry.problems[0]}", mark="bad") if entry.problems else Shown("yes", mark="good")


def _audit(entry: _Entry) -> Shown:
    codes = dict.fromkeys(each.code for each in entry.findings)
    leaks = any(each.severity is Severity.LEAK for each in entry.findings)
    return Shown(", ".join(codes) or "-", mark="bad" if leaks else "")


def _row_page(entry: _Entry, board: Leaderboard, title: str, store: Store) -> Page:
    row = entry.row
    page = Page(row.name, row.table.title, warning=SIMULATED_WARNING if row.simulated else "")
    page.links([(title, "../index.html")])
    page.section("Figures", f"Rank {row.rank or '-'} by {row.ranked_by}, from the source {row.origin}.")
    columns = columns_of([row])
    page.table([column.title for column in columns], [[column.cell(row) for column in columns]], sort=False)
    page.section("Command", "As its cells recorded it. Options in environment variables are not recorded.")
    for line in entry.commands or ("not recorded",):
        page.code(line)
    page.section("Checks")
    page.table(["check", "verdict"], list(_checks(entry)), sort=False)
    if entry.findings:
        rows = [
            [each.code, Shown(each.severity.value, mark="bad" if each.severity is Severity.LEAK else ""), each.title,
             each.concerns, some(each.evidence, _SHOWN), each.remedy]
            for each in entry.findings
        ]  # fmt: skip
        page.table(["code", "severity", "finding", "concerns", "evidence", "remedy"], rows, "Audit findings.")
    page.section("Cells")
    page.table(["cell", "split", "seed", "state", "%", "predictions"], [
        [record.cell.id, record.cell.split, record.cell.seed, record.result.state.value,
         share_text(record.result.metrics.get(row.primary)),
         "kept" if (store.folder(record) / PREDICTIONS).is_file() else "none"]
        for record in entry.records
    ])  # fmt: skip
    page.section("What the columns mean")
    page.bullets(footnotes(dataclasses.replace(board, rows=(row,), hidden=())))
    return page


def _checks(entry: _Entry) -> Iterator[tuple[str, Any]]:
    row, cell = entry.row, entry.records[0].cell
    yield "figures computed again from the predictions", _verdict(entry)
    yield "method passed 'zslbench check' with this code", Shown("yes" if row.checked else "not recorded")
    yield "audit", _audit(entry)
    yield "simulated features", Shown("yes", mark="bad") if row.simulated else "no"
    yield "features digest", cell.features_digest
    yield "class vectors digest", cell.semantics_digest
    yield "splits digest", cell.family_digest
    yield "method digest", f"{cell.method_digest} (version {cell.method_version})"


def _facts(entries: Sequence[_Entry]) -> list[dict[str, Any]]:
    return [
        row_facts(entry.row)
        | {
            "source": entry.row.origin,
            "verified": not entry.problems,
            "audit": [each.code for each in entry.findings],
            "commands": list(entry.commands),
            "cells": [record.cell.id for record in entry.records],
            "page": entry.page,
        }
        for entry in entries
    ]
