"""Measure how often a test declares a winner between two seeds of one trained method, which are equal by construction.

Run ``python tools/validate_seeds.py RESULTS`` on finished cells of several seeds; ``docs/statistics.md``
has the commands that make them. It prints a table and writes it between the marks of that page. Every pair of seeds of
a method is compared on every subset of its splits.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np

from zslbench.cells.rows import finished_cells, grouped
from zslbench.cells.store import Record, Store
from zslbench.errors import ZslbenchError
from zslbench.stats.intervals import class_values
from zslbench.stats.paired import t_test
from zslbench.stats.runs import run_effect

PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
BEGIN, END = "<!-- seeds -->\n", "<!-- end of seeds -->"


def accuracies(records: list[Record]) -> np.ndarray:
    """Return (n_seeds, n_splits, n_classes) accuracies of one method; NaN for classes that a split does not test.

    Raises
    ------
    ZslbenchError
        A seed lacks a split.
    """
    seeds = sorted({record.cell.seed for record in records})
    splits = sorted({record.cell.split_digest for record in records})
    names = sorted({name for record in records for name in record.result.classes.names})
    found = np.full((len(seeds), len(splits), len(names)), np.nan)
    for record in records:
        counts = record.result.classes
        place = seeds.index(record.cell.seed), splits.index(record.cell.split_digest)
        known = [names.index(name) for name in counts.names]
        found[place][known] = np.array(counts.top1) / np.maximum(counts.scored, 1)
    if len(records) != len(seeds) * len(splits):
        raise ZslbenchError(f"{records[0].cell.label}: a seed lacks a split; run the missing cells.")
    return found


def winners(accuracy: np.ndarray, n_splits: int, level: float = 0.05) -> np.ndarray:
    """Return for each pair of seeds and subset of splits whether a winner is declared, (n, 2).

    The columns are the t-test over classes alone, and the one over classes and runs, which ``zslbench compare`` uses.
    """
    found = []
    for chosen in combinations(range(accuracy.shape[1]), n_splits):
        for first, second in combinations(accuracy[:, chosen], 2):
            by_run = first - second
            tested = ~np.isnan(by_run)
            values = class_values(np.nan_to_num(by_run), tested.astype(float), "top1_per_class")
            values = values[~np.isnan(values)]
            found.append([t_test(values) < level, t_test(values, run_effect(by_run)) < level])
    return np.array(found)


def _where(record: Record) -> tuple[str, str]:
    return f"{record.cell.dataset}@{record.cell.features}", record.cell.family


def _rates(found: np.ndarray, spread: float | None = None) -> str:
    """Return a row's last cells: comparisons, spread between seeds, shares with a winner in %."""
    shares = " | ".join(f"{100 * share:.1f}" for share in found.mean(axis=0))
    return f"{len(found)} | {'-' if spread is None else f'{100 * spread:.1f}'} | {shares}"


def measure(records: list[Record]) -> str:
    """Return the table as Markdown: for each feature set, family and number of splits, and for all families."""
    methods = sorted({record.cell.label for record in records})
    lines = [
        f"Methods: {', '.join(methods)}.",
        "",
        "| features | family | unseen | splits | comparisons | sd of a seed, points | over classes | and runs (used) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    every: dict[int, list[np.ndarray]] = {}
    for (features, family), of_family in sorted(grouped(records, _where).items()):
        by_method = [accuracies(group) for group in grouped(of_family, lambda record: record.cell.label).values()]
        if len(by_method) < len(methods):
            raise ZslbenchError(f"{features} {family}: a method has no cell; run the missing ones.")
        spread = np.sqrt(np.mean([np.nanmean(a, axis=2).var(axis=0, ddof=1).mean() for a in by_method]))
        unseen = len(of_family[0].result.classes.names)
        for n_splits in range(1, min(a.shape[1] for a in by_method) + 1):
            found = np.concatenate([winners(a, n_splits) for a in by_method])
            every.setdefault(n_splits, []).append(found)
            lines.append(f"| {features} | {family} | {unseen} | {n_splits} | {_rates(found, spread)} |")
    lines += [f"| all | all | - | {n_splits} | {_rates(np.concatenate(found))} |" for n_splits, found in every.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="results folder, as of 'zslbench run --results'")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    text = measure(finished_cells(Store(options.results).records()))
    print(text)
    before, begin, rest = options.page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"refused: {options.page} lacks the marks {BEGIN.strip()} and {END}")
    options.page.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
