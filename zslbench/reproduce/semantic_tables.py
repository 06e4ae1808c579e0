"""Make tables 3 and 4 of a reproduction: measured and published figures of the semantic tests, in separate blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zslbench.leaderboard.agreement import compare_with_published
from zslbench.reproduce.reproduction import Reproduction, published_figure
from zslbench.reproduce.semantic import SemanticTests
from zslbench.reproduce.tables import (
    Block,
    Caveats,
    ResultTable,
    caption_marks,
    display,
    inputs,
    interval,
    number,
    percent,
    published_figures,
    status,
    verdict,
)
from zslbench.reproduce.tables import TableCell as TableCell
from zslbench.tables.writer import Shown

if TYPE_CHECKING:
    from zslbench.semantic_tests.arithmetic import ArithmeticTest

_NOTHING = (None, math.nan, math.nan)


def semantic_tables(made: Reproduction, tests: Sequence[SemanticTests]) -> list[ResultTable]:
    """Return tables 3 and 4."""
    by_dataset = {test.dataset: test for test in tests}
    return [_table3(made, by_dataset), _table4(made, by_dataset)]


def _table3(made: Reproduction, tests: Mapping[str, SemanticTests]) -> ResultTable:
    paper = made.paper
    names = (paper.semantic.pooled, paper.semantic.class_vectors, paper.semantic.model)
    measured = Block(
        f"Measured: Spearman's correlation with WordNet's matrix, the mean over rows{caption_marks(made)}",
        ["embedding", "dataset", "with diagonal", "95 % over classes", "p", "without diagonal", "95 % over classes",
         "p", "status"],
    )  # fmt: skip
    published = published_figures(paper, "embedding", *(display(dataset) for dataset in paper.datasets))
    figures = {(n, d): published_figure(paper, n, d, metric="spearman") for n in names for d in made.datasets}
    caveats, facts = Caveats(figures.values()), []
    for name in names:
        for dataset in made.datasets:
            test, figure = tests.get(dataset), figures[name, dataset]
            wordnet = test.wordnet if test else {}
            found = {diagonal: own[name].correlation for diagonal, own in wordnet.items() if name in own}
            counted, whole, without = (found.get(diagonal) for diagonal in (paper.table3.diagonal, True, False))
            why = "" if counted else _why(made, dataset, test, "model" if wordnet else "wordnet")
            compared = (counted.rho, counted.low, counted.high) if counted else _NOTHING
            other = made.not_comparable(
                dataset,
                features=name != paper.semantic.class_vectors,
                class_vectors=name != paper.semantic.pooled,
            ) if counted else ""  # fmt: skip
            outcome = compare_with_published(figure, *compared, not_run=why, not_comparable=other)
            title = test.titles.get(name, name) if test else name
            cells: list[TableCell] = []
            for rho in (whole, without):
                cells += [percent(rho.rho, 4), interval(rho.low, rho.high, 3), f"{rho.p:.3f}"] if rho else ["-"] * 3
            measured.rows.append([title, display(dataset), *cells, status(outcome)])
            facts.append(
                {"dataset": dataset, "embedding": name, "measured_as": title if counted else "", **verdict(outcome),
                 "rho_without_diagonal": number(without.rho if without else None),
                 "p_with_diagonal": number(whole.p if whole else None),
                 "p_without_diagonal": number(without.p if without else None),
                 "simulated": made.simulated, "quick": made.quick}
            )  # fmt: skip
        published.rows.append([name, *(caveats.cell(figures[name, dataset]) for dataset in paper.datasets)])
    notes = [
        paper.semantic.note,
        *(f"{display(t.dataset)}: {t.coverage}." for t in tests.values() if t.coverage),
        paper.table3.note,
        "Interval: 95 % jackknife over classes (each class is left out in turn, with its row and its column). p: "
        "one-sided Mantel test, classes permuted 999 times.",
        *caveats.notes(),
    ]
    return ResultTable("table3", "Table 3: WordNet matrices", [measured, published], inputs(made), notes, facts)


def _table4(made: Reproduction, tests: Mapping[str, SemanticTests]) -> ResultTable:
    paper, rule = made.paper, made.paper.table4
    datasets = list(dict.fromkeys([*rule.datasets, *made.features]))
    measured = Block(
        f"Measured: share of \"verb noun1\" - noun1 + noun2 whose nearest class is \"verb noun2\"{caption_marks(made)}",
        ["dataset", "list", "pairs", "chance", "source may be the answer", "95 % over verbs", "source left out",
         "95 % over verbs", "mean over verbs, source left out", f"{_other(rule.metric)}, source left out", "status"],
    )  # fmt: skip
    published = published_figures(paper, "dataset", "share")
    figures = {
        dataset: published_figure(paper, paper.semantic.model, dataset, metric="accuracy") for dataset in datasets
    }
    caveats, facts = Caveats(figures.values()), []
    for dataset in datasets:
        test, figure = tests.get(dataset), figures[dataset]
        lists: Mapping[str, ArithmeticTest | None] = (test.arithmetic if test else {}) or {"": None}
        for name, done in lists.items():
            micro = done.outcome(rule.metric, exclude_source=rule.exclude_source).micro if done else None
            share = (micro.mean, micro.low, micro.high) if micro else _NOTHING
            why = "" if done else _why(made, dataset, test, "arithmetic")
            other = made.not_comparable(dataset) if done else ""
            outcome = compare_with_published(figure, *share, not_run=why, not_comparable=other)
            measured.rows.append([display(dataset), name or "-", *_share_cells(made, done), status(outcome)])
            facts.append({"dataset": dataset, "groups": name, **verdict(outcome), **_shares(made, done)})
        if figure:
            published.rows.append([display(dataset), caveats.cell(figure)])
    notes = [
        paper.semantic.note,
        rule.note,
        f"Nearest by {rule.metric} distance among all classes of the feature set. chance: 1 / number of these classes "
        "without the source.",
        *caveats.notes(),
    ]
    notes = [note for note in notes if note]
    return ResultTable("table4", "Table 4: vector arithmetic", [measured, published], inputs(made), notes, facts)


def _other(metric: str) -> str:
    return "cosine" if metric == "euclidean" else "euclidean"


def _share_cells(made: Reproduction, done: ArithmeticTest | None) -> list[TableCell]:
    """Return pairs, chance, and the shares that pass by the paper's metric and by the other one."""
    if done is None:
        return ["-"] * 8
    metric = made.paper.table4.metric
    included, left_out = (done.outcome(metric, exclude_source=exclude) for exclude in (False, True))
    line: list[TableCell] = [Shown(f"{len(done.pairs):,}", len(done.pairs)), percent(left_out.chance, 4)]
    for micro in (included.micro, left_out.micro):
        line += [percent(micro.mean, 4), interval(micro.low, micro.high, 4)]
    other = done.outcome(_other(metric), exclude_source=True)
    return [*line, percent(left_out.macro.mean, 4), percent(other.micro.mean, 4)]


def _shares(made: Reproduction, done: ArithmeticTest | None) -> dict[str, Any]:
    """Return the same shares for programs."""
    rule, facts = made.paper.table4, {"pairs": len(done.pairs) if done else ""}
    for metric in (rule.metric, _other(rule.metric)):
        for exclude, where in ((False, "source_in"), (True, "source_left_out")):
            outcome = done.outcome(metric, exclude_source=exclude) if done else None
            facts[f"{metric}_{where}"] = number(outcome.micro.mean if outcome else None)
            facts[f"{metric}_{where}_over_verbs"] = number(outcome.macro.mean if outcome else None)
            facts[f"chance_{where}"] = number(outcome.chance if outcome else None)
    return {
        "metric": rule.metric, "exclude_source": rule.exclude_source, **facts,
        "simulated": made.simulated, "quick": made.quick,
    }  # fmt: skip


def _why(made: Reproduction, dataset: str, test: SemanticTests | None, what: str) -> str:
    """Return why there is no figure."""
    if test is None:
        return made.skipped.get(dataset, "not requested")
    return test.why.get(what) or test.why.get("model") or "no result"
