"""The leak audit: reasons why a figure is not really zero-shot, or a comparison not fair.

:func:`audit_records` reads stored results, and :func:`audit_features` a feature set before anything has run.
:func:`refuse` stops a run that would leak, and :func:`marks` returns the leaderboard rows that leak.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from zslbench.audit._features import (
    check_counts,
    check_groups,
    check_ids,
    check_seen_classes,
    check_steps,
    check_surplus,
    check_training,
)
from zslbench.audit._prompts import check_prompts, check_spelling, check_texts_spelling
from zslbench.audit._rows import (
    Pair,
    check_budget,
    check_environment,
    check_published,
    check_settings,
    check_splits,
    check_validation,
    check_vectors,
    check_versions,
)
from zslbench.audit._texts import check_author, check_texts, texts_behind
from zslbench.audit._twins import check_twins
from zslbench.audit._vectors import check_likeness, finished_sources
from zslbench.audit.findings import Finding, Severity, in_order
from zslbench.audit.inputs import (
    Inputs,
    Semantics,
    check_inputs,
    check_leaks,
    check_semantics,
    family_of,
    mark_notes,
    marks,
    unseen_classes,
)
from zslbench.cells.cell import Cell
from zslbench.cells.rows import Row, current_rows, data_version
from zslbench.cells.store import Record, Store
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import find_family
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureSet
from zslbench.method import Budget
from zslbench.run.plan import Plan

__all__ = ["audit_features", "audit_records", "mark_notes", "marks", "refuse"]


def audit_records(records: Iterable[Record], store: Store | None = None) -> list[Finding]:
    """Return the findings about stored results, the worst first.

    Parameters
    ----------
    store
        The store of the cells. Without it, findings about their environments are left out.
    """
    pairs = [(row, group) for row, group in current_rows(records, all_versions=True)[0]]
    found: list[Finding] = []
    for inputs, group in _grouped(pairs, lambda _, cell: Inputs.of(cell)).items():
        names = tuple(dict.fromkeys(row.name for row, _ in group))
        found += [replace(finding, rows=names) for finding in _about_inputs(inputs, group)]
    for semantics, group in _grouped(pairs, lambda _, cell: Semantics.of(cell)).items():
        names = tuple(dict.fromkeys(row.name for row, _ in group))
        unseen = unseen_classes(record for _, of_row in group for record in of_row)
        found += [replace(finding, rows=names) for finding in check_semantics(semantics, unseen)]
    found += _about_texts(pairs)
    found += check_prompts(pairs)
    for table, group in _grouped(pairs, lambda row, _: row.table).items():
        found += check_versions(table.title, group)
        for version in _grouped(group, lambda _, cell: data_version(cell)).values():
            found += check_splits(table.title, version)
            found += check_settings(table.title, version)
    for row, of_row in pairs:
        found += check_budget(row, of_row[0].cell)
        found += check_validation(row, of_row)
    cells = [record.cell for _, group in pairs for record in group]
    for dataset, spec in sorted({(cell.dataset, cell.semantics) for cell in cells}):
        found += check_vectors(dataset, spec)
        found += check_spelling(dataset, spec)
    for dataset in sorted({cell.dataset for cell in cells}):
        found += check_published(dataset)
    if store is not None:
        found += check_environment(store, [record for _, group in pairs for record in group])
    return in_order(found)


def audit_features(features: FeatureSet, families: Sequence[str] = ()) -> list[Finding]:
    """Return the findings about a feature set that need no result.

    Parameters
    ----------
    families
        Split families to check; by default the dataset's own families that the features cover, or ``random-50/50`` if
        there is none.

    Raises
    ------
    ZslbenchError
        The dataset has no such family.
    """
    manifest, dataset = features.manifest, features.dataset
    title = f"{dataset.name}@{manifest.name}"
    found = [*check_steps(manifest), *check_groups(features), *check_ids(features)]
    found += check_counts(title, features.counts, dataset.videos_per_class)
    found += check_surplus(title, features.counts, dataset)
    unseen = {}
    for name in families or _covered_families(features):
        family = find_family(dataset, name, features.covered)
        unseen[name] = {split.digest: frozenset(split.unseen) for split in family.splits}
        found += check_seen_classes(dataset.name, family, f"{title}, splits {name}", unseen[name])
    where = title if len(unseen) > 1 else f"{title}, splits {name}"
    found += check_training(manifest, where, unseen)
    opened = [find_family(dataset, name, features.covered) for name in unseen]
    if not any(family.splits[0].seen_dataset for family in opened):
        found += check_twins(features, where, unseen)
    ever = frozenset(each for splits in unseen.values() for names in splits.values() for each in names)
    for source in finished_sources(dataset.name):
        found += check_likeness(features, source, ever)
    return in_order(found)


def refuse(plan: Plan) -> None:
    """Refuse to run a plan whose figures would leak.

    Raises
    ------
    ZslbenchError
        The plan leaks; the message names the leaks and the remedy.
    """
    found: list[Finding] = []
    groups: dict[Inputs | Semantics, list[Cell]] = defaultdict(list)
    for cell in plan.cells:
        for key in (Inputs.of(cell), Semantics.of(cell)):
            groups[key].append(cell)
        if Budget.ORACLE in cell.budget:
            found.append(Finding("L5", cell.label, (f"budget {' + '.join(cell.budget)}",)))
    for each, cells in groups.items():
        family = family_of(each if isinstance(each, Inputs) else each.inputs)
        splits = {cell.split for cell in cells} if family else set()
        unseen = {s.digest: frozenset(s.unseen) for i in sorted(splits) if family and (s := family.splits[i])}
        found += check_leaks(each, unseen)
    unknown = [finding for finding in in_order(found) if finding.code == "W3"]
    plan.notices += [f"--strict cannot check this: W3 {f.title} ({f.concerns}: {f.evidence[0]})." for f in unknown]
    leaks = [finding for finding in in_order(found) if finding.severity is Severity.LEAK]
    if leaks:
        listed = "; ".join(f"{leak.code} {leak.title} ({leak.concerns}: {_shortly(leak)})" for leak in leaks)
        first = plan.cells[0]
        raise ZslbenchError(
            f"--strict refuses to run, because the figures would leak: {listed}. Change the features, splits or "
            f"methods ('zslbench audit --features-only {first.dataset}@{first.features}' says how), or leave out "
            f"--strict."
        )


def _shortly(leak: Finding) -> str:
    more = f": {', '.join(leak.classes[:4])}{', ...' if len(leak.classes) > 4 else ''}" if leak.classes else ""
    return leak.evidence[0] + more


def _about_inputs(inputs: Inputs, group: Sequence[Pair]) -> Iterator[Finding]:
    """Yield the findings about inputs that rows share, with the effect of an overlap on each row's figures."""
    records = [record for _, of_row in group for record in of_row]
    for finding in check_inputs(inputs, unseen_classes(records)):
        told = finding.code in ("L1", "L3", "W1", "W12")
        worth = [line for row, _ in group if told and (line := _worth(row, finding.classes))]
        yield replace(finding, evidence=(finding.evidence[0], *worth, *finding.evidence[1:]))
    try:
        dataset = get_dataset(inputs.dataset)
    except ZslbenchError:
        return
    title, present = f"{inputs.dataset}@{inputs.features}", _present(records)
    yield from check_counts(title, present, dataset.videos_per_class)
    yield from check_surplus(title, present, dataset)
    try:
        features = open_features(dataset, inputs.features)
    except ZslbenchError:
        return
    if features.manifest.digest == inputs.features_digest:
        yield from check_ids(features)
        family = family_of(inputs)
        own = family is not None and family.has_own_lists
        if any(record.cell.protocol == "gzsl" for record in records) and not own:
            yield from check_groups(features)


def _about_texts(pairs: Sequence[Pair]) -> Iterator[Finding]:
    """Yield the findings about class texts, and about those that class vectors were made from."""
    used: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for row, records in pairs:
        cell = records[0].cell
        try:
            names = {cell.texts, texts_behind(cell.semantics, get_dataset(cell.dataset))} - {None}
        except ZslbenchError:
            continue
        for name in names:
            used[cell.dataset, str(name)].append((row, records))
    for (dataset, name), group in used.items():
        unseen = unseen_classes(record for _, records in group for record in records)
        ever = frozenset(each for names in unseen.values() for each in names)
        rows = tuple(dict.fromkeys(row.name for row, _ in group))
        described = get_dataset(dataset)
        yield from (replace(each, rows=rows) for each in check_texts(described, name, ever))
        yield from (replace(each, rows=rows) for each in check_texts_spelling(described, name))
        yield from (replace(each, rows=rows) for each in check_author(described, name))


def _present(records: Iterable[Record]) -> dict[str, int]:
    """Return the number of videos of each class when it was unseen, which are all its videos in the feature set."""
    present: dict[str, int] = {}
    for record in records:
        if counts := record.result.classes:
            for name, unseen, n in zip(counts.names, counts.unseen, counts.scored, strict=True):
                if unseen:
                    present[name] = n
    return present


def _worth(row: Row, classes: Sequence[str]) -> str:
    """Return the accuracies of a row on the unseen classes that overlap and on the others, as means over classes."""
    if row.counts is None or Budget.ORACLE in row.budget:
        return ""
    counts = row.counts
    scored = np.where(counts.unseen, counts.scored, 0).sum(axis=0)
    right = np.where(counts.unseen, counts.top1, 0).sum(axis=0)
    inside = np.isin(counts.names, classes)
    sides = [side & (scored > 0) for side in (inside, ~inside)]
    if not all(side.any() for side in sides):
        return ""
    here, elsewhere = (100 * (right[side] / scored[side]).mean() for side in sides)
    where = f"{row.name}, {row.table.protocol}, {row.table.semantics}"
    return f"{where}: {here:.1f} % correct in these classes, {elsewhere:.1f} % in the other unseen ones"


def _covered_families(features: FeatureSet) -> list[str]:
    names = []
    for name in features.dataset.stored_families:  # families imported or saved by a user are checked on request only
        try:
            features.dataset.family(name).check_coverage(features.covered, "")
        except ZslbenchError:
            continue
        names.append(name)
    return names or ["random-50/50"]


def _grouped(pairs: Iterable[Pair], key: Callable[[Row, Cell], Hashable]) -> dict[Any, list[Pair]]:
    groups: dict[Any, list[Pair]] = defaultdict(list)
    for row, records in pairs:
        groups[key(row, records[0].cell)].append((row, records))
    return groups
