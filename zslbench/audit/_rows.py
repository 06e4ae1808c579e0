"""Findings about rows of figures: budgets, splits, versions, and comparisons of things that cannot be compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from zslbench.audit.findings import Finding
from zslbench.cells.cell import RECIPE, Cell
from zslbench.cells.rows import Row, code_version, data_version
from zslbench.cells.source import source_digest
from zslbench.cells.store import Record, Store
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.files import read_json
from zslbench.ledger.published import published_results
from zslbench.method import Budget
from zslbench.registry import get_method
from zslbench.semantics.class_vectors import open_semantics

Pair = tuple[Row, Sequence[Record]]
NEARLY_EQUAL = 0.95  # cosine
SETTINGS = 3  # settings of one method in one table from which it looks like a sweep, not an ablation
_SELECTED = "selection on the test"  # the words of the ledger's caveats
_DATA = (
    "class list", "features", "features of the seen classes", "class vectors", "splits", "recipe of the harness",
    "list of held-out videos",
)  # fmt: skip


def check_budget(row: Row, cell: Cell) -> Iterator[Finding]:
    """Yield L5, and L6 and N3 if the method's installed code is the one that ran; otherwise W8."""
    if Budget.ORACLE in row.budget:
        yield Finding("L5", row.label, (f"{row.name}: budget {' + '.join(row.budget)}",), rows=(row.name,))
    try:
        method = get_method(cell.method)
        current = source_digest(method) == cell.method_digest and cell.recipe == RECIPE
        declared = frozenset(method(cell.params).budget) if current else frozenset()
        declared |= {Budget.AUXILIARY_VIDEOS} if cell.auxiliary else frozenset()
    except ZslbenchError:
        why = (
            "a local method: it was passed as a class, and has no package"
            if cell.local
            else "the method is not installed here"
        )
        yield Finding("W8", cell.method, (why,), rows=(row.name,))
        return
    if not current:
        yield Finding("W8", cell.method, ("its source, or the recipe of the harness, has changed",), rows=(row.name,))
        return
    recorded = frozenset(map(Budget, row.budget))
    if recorded != declared:
        said = f"{row.name}: recorded {_joined(recorded)}, declared {_joined(declared)}"
        yield Finding("L6", row.label, (said,), rows=(row.name,))
    if wider := declared - method.info.budget:
        yield Finding("N3", row.label, (f"{row.name}: with these parameters also {_joined(wider)}",), rows=(row.name,))


def check_validation(row: Row, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield N6 if the method asked for the family's validation classes and got some."""
    counts = {int(n) for r in records if isinstance(n := r.result.notes.get("validation_classes"), int | float)}
    if counts:
        where = f"{row.table.dataset}, splits {row.table.family}"
        yield Finding("N6", where, (f"{row.name}: {' or '.join(map(str, sorted(counts)))} classes",), rows=(row.name,))


def _joined(budget: Iterable[Budget]) -> str:
    return " + ".join(sorted(budget)) or "nothing"


def check_splits(table: str, pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Yield W5, W6 and N1 for the rows of one table and one version of its data."""
    done = {
        id(row): tuple(sorted({r.cell.split for r in group if r.cell.split_digest in row.splits}))
        for row, group in pairs
    }
    partly = defaultdict(list)
    for row, _ in pairs:
        if row.n_done < row.n_all:
            partly[done[id(row)], row.n_done, tuple(sorted(row.failures.items()))].append(row)
    if partly:
        lines = [
            f"{n} of {rows[0].n_all} splits{_which(splits, n)}{_failed(failed)}: {', '.join(row.name for row in rows)}"
            for (splits, n, failed), rows in partly.items()
        ]
        yield Finding("W5", table, tuple(lines), rows=tuple(row.name for rows in partly.values() for row in rows))
    with_figures = [row for row, _ in pairs if row.splits]
    for what in ("splits", "seeds"):
        if len({getattr(row, what) for row in with_figures}) > 1:
            lines = [f"{row.name}: {_described(row, done[id(row)], what)}" for row in with_figures]
            yield Finding("W6", table, (f"different {what}", *lines), rows=tuple(row.name for row in with_figures))
    repeated = {r.cell.split_digest: r.cell.repeats for _, group in pairs for r in group if r.cell.repeats > 1}
    if repeated:
        family = pairs[0][0].table
        twice = sum(repeated.values()) - len(repeated)
        yield Finding(
            "N1",
            f"{family.dataset}, splits {family.family}",
            (f"{twice} of {pairs[0][0].n_all} splits repeat others; these rows count each distinct split once",),
        )


def _which(splits: tuple[int, ...], n_done: int) -> str:
    """Return which splits were run; ``n_done`` includes repeated splits, which run once, with their first number."""
    if not splits or max(splits) < n_done:
        return f" (the first {n_done})" if splits else ""
    shown = ", ".join(map(str, splits[:8])) + (", ..." if len(splits) > 8 else "")
    return f" (numbers {shown}: not the first {n_done}; give the reason for this choice)"


def _failed(failures: tuple[tuple[str, int], ...]) -> str:
    text = ", ".join(f"{n} {state}" for state, n in failures)
    return f"; without figures: {text}" if text else ""


def _described(row: Row, splits: tuple[int, ...], what: str) -> str:
    return (
        f"seeds {', '.join(map(str, row.seeds))}"
        if what == "seeds"
        else f"{row.n_done} splits{_which(splits, row.n_done)}"
    )


def check_settings(table: str, pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Yield W13 for each method with rows of three or more settings; rows of presets do not count."""
    settings = defaultdict(list)
    for row, _ in pairs:
        if row.chosen and not row.control:
            settings[row.method].append(row.name)
    for method, names in settings.items():
        usual = any(row.method == method and not row.chosen for row, _ in pairs)
        if len(names) + usual >= SETTINGS:
            lines = (f"{len(names) + usual} settings", *names)
            yield Finding("W13", f"{method} in {table}", lines, rows=tuple(names))


def check_versions(table: str, pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Yield W7 if one table mixes versions of its data, and W8 if it mixes versions of a method."""
    versions = {data_version(group[0].cell) for _, group in pairs}
    if len(versions) > 1:
        columns = zip(_DATA, zip(*versions, strict=True), strict=True)
        differing = [what for what, values in columns if len(set(values)) > 1]
        names = tuple(row.name for row, _ in pairs)
        yield Finding("W7", table, (f"{len(versions)} versions, different in: {', '.join(differing)}",), rows=names)
    codes = defaultdict(set)
    for row, group in pairs:
        codes[row.method].add(code_version(group[0].cell))
    for method, found in codes.items():
        if len(found) > 1:
            yield Finding("W8", f"{method} in {table}", (f"rows of {len(found)} versions of its code",))


def check_environment(store: Store, records: Sequence[Record]) -> Iterator[Finding]:
    """Yield W9 if cells were run from a checkout with uncommitted changes."""
    dirty: Counter[str] = Counter()
    for record in records:
        try:
            git = read_json(store.folder(record) / "environment.json").get("git") or {}
        except (ZslbenchError, AttributeError):  # an unreadable record proves nothing
            continue
        if git.get("dirty"):
            dirty[str(git.get("commit", ""))[:12]] += 1
    if dirty:
        lines = [f"{n} cells at {commit} with changes" for commit, n in sorted(dirty.items())]
        yield Finding("W9", f"{sum(dirty.values())} of {len(records)} cells", tuple(lines))


def check_vectors(dataset: str, spec: str) -> Iterator[Finding]:
    """Yield N2 if two classes have vectors with a cosine above 0.95."""
    try:
        vectors = open_semantics(spec, get_dataset(dataset))
    except ZslbenchError:
        return
    unit = vectors.vectors / np.linalg.norm(vectors.vectors, axis=1, keepdims=True)
    cosines = np.triu(unit @ unit.T, k=1)  # each pair once, and no class with itself
    first, second = np.nonzero(cosines > NEARLY_EQUAL)
    if len(first):
        order = np.argsort(-cosines[first, second])
        lines = [
            f"{vectors.names[i]} and {vectors.names[j]}: cosine {cosines[i, j]:.3f}"
            for i, j in zip(first[order], second[order], strict=True)
        ]
        names = tuple(dict.fromkeys(vectors.names[i] for pair in zip(first, second, strict=True) for i in pair))
        yield Finding("N2", f"{dataset}, class vectors {spec}", (f"{len(lines)} pairs", *lines), names)


def check_published(dataset: str) -> Iterator[Finding]:
    """Yield N4 if the ledger has figures whose caveats mention selection on the test."""
    rows = [row for row in published_results() if row.dataset == dataset]
    selected = [row for row in rows if any(_SELECTED in caveat for caveat in row.caveats)]
    if selected:
        lines = [f"{row.system}, {row.protocol}: {row.text} ({row.source})" for row in selected]
        summary = f"{len(selected)} of {len(rows)} published figures on {dataset}"
        yield Finding("N4", dataset, (summary, *lines))
