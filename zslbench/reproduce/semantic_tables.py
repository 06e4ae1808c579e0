"""Make tables 3 and 4 of a reproduction: measured and published figures of the semantic tests, in separate blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zslbench.leaderboard.agreement import Agreement, compare_with_published
from zslbench.ledger.published import Published
from zslbench.reproduce.reproduction import Reproduction
from zslbench.reproduce.semantic import SemanticTests
from zslbench.reproduce.tables import (
    Block,
    Caveats,
    ResultTable,
    caption_marks,
    display,
    inputs,
    interval,
    percent,
    semantic_figure,
    status,
    verdict,
)
from zslbench.reproduce.tables import TableCell as TableCell
from zslbench.tables.writer import Shown

if TYPE_CHECKING:
    from zslbench.semantic_tests import matrices
    from zslbench.semantic_tests.arithmetic import ArithmeticTest

_SIMULATED = "only on simulated features, no video was looked at"


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
    published = Block(
        f"Published ({paper.source}), never ranked with the measured figures",
        ["embedding", *(display(dataset) for dataset in paper.datasets)],
    )
    figures = {(n, d): semantic_figure(made, n, d, "spearman") for n in names for d in made.datasets}
    caveats, facts = Caveats(figures.values()), []
    for name in names:
        for dataset in made.datasets:
            test, figure = tests.get(dataset), figures[name, dataset]
            both = {diagonal: own.get(name) for diagonal, own in test.wordnet.items()} if test else {}
            counted = both.get(paper.table3.diagonal)
            why = _why(made, dataset, test, "wordnet" if not both else "model", counted is not None)
            outcome = _compared(figure, counted, why)
            cells: list[TableCell] = []
            for diagonal in (True, False):
                cells += _rho_cells(both.get(diagonal))
            title = test.titles.get(name, name) if test else name
            measured.rows.append([title, display(dataset), *cells, status(outcome)])
            without = both.get(False)
            facts.append(
                {"dataset": dataset, "embedding": name, "measured_as": title if counted else "", **verdict(outcome)}
                | {"rho_without_diagonal": f"{without.correlation.rho:.4f}" if without else ""}
                | {"p_with_diagonal": f"{both[True].correlation.p:.4f}" if both.get(True) else ""}  # type: ignore[union-attr]
                | {"p_without_diagonal": f"{without.correlation.p:.4f}" if without else ""}
                | {"simulated": made.simulated, "quick": made.quick}
            )
        published.rows.append([name, *(caveats.cell(figures[name, dataset]) for dataset in paper.datasets)])
    notes = [
        paper.semantic.note,
        *(f"{display(t.dataset)}: {t.coverage}." for t in tests.values() if t.coverage),
    ]
    notes += [
        paper.table3.note,
        "Interval: 95 % jackknife over classes (each class is left out in turn, with its row and its column). p: "
        "one-sided Mantel test, classes permuted 999 times.",
        *caveats.notes(),
    ]
    return ResultTable("table3", "Table 3: WordNet matrices", [measured, published], inputs(made), notes, facts)


def _compared(figure: Published | None, own: matrices.WordNetComparison | None, why: str) -> Agreement:
    if own is None:
        return compare_with_published(figure, None, not_run=why)
    found = own.correlation
    return compare_with_published(figure, found.rho, found.low, found.high, not_run=why)


def _rho_cells(own: matrices.WordNetComparison | None) -> list[TableCell]:
    if own is None:
        return ["-", "-", "-"]
    found = own.correlation
    return [percent(found.rho, 4), interval(found.low, found.high, 3), f"{found.p:.3f}"]


def _table4(made: Reproduction, tests: Mapping[str, SemanticTests]) -> ResultTable:
    paper, rule = made.paper, made.paper.table4
    datasets = list(dict.fromkeys([*rule.datasets, *made.features]))
    measured = Block(
        f"Measured: share of \"verb noun1\" - noun1 + noun2 whose nearest class is \"verb noun2\"{caption_marks(made)}",
        ["dataset", "list", "pairs", "chance", "source may be the answer", "95 % over verbs", "source left out",
         "95 % over verbs", "mean over verbs, source left out", f"{_other(rule.metric)}, source left out", "status"],
    )  # fmt: skip
    published = Block(f"Published ({paper.source}), never ranked with the measured figures", ["dataset", "share"])
    figures = {dataset: semantic_figure(made, paper.semantic.model, dataset, "accuracy") for dataset in datasets}
    caveats, facts = Caveats(figures.values()), []
    for dataset in datasets:
        test, figure = tests.get(dataset), figures[dataset]
        lists: Mapping[str, ArithmeticTest | None] = (test.arithmetic if test else {}) or {"": None}
        for name, done in lists.items():
            outcome = _arithmetic_outcome(made, figure, done, _why(made, dataset, test, "arithmetic", done is not None))
            measured.rows.append([display(dataset), name or "-", *_share_cells(made, done), status(outcome)])
            facts.append({"dataset": dataset, "groups": name, **verdict(outcome), **_shares(made, done)})
        if figure:
            published.rows.append([display(dataset), caveats.cell(figure)])
    notes = [
        paper.semantic.note,
        *([rule.note] if rule.note else []),
        f"Nearest by {rule.metric} distance among all classes of the feature set. chance: 1 / number of these classes "
        "without the source.",
        *caveats.notes(),
    ]
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
            for name in ("micro", "macro"):
                value = f"{getattr(outcome, name).mean:.4f}" if outcome else ""
                facts[f"{metric}_{where}{'_over_verbs' if name == 'macro' else ''}"] = value
            facts[f"chance_{where}"] = f"{outcome.chance:.4f}" if outcome else ""
    return {
        "metric": rule.metric, "exclude_source": rule.exclude_source, **facts,
        "simulated": made.simulated, "quick": made.quick,
    }  # fmt: skip


def _arithmetic_outcome(
    made: Reproduction, figure: Published | None, done: ArithmeticTest | None, why: str
) -> Agreement:
    if done is None:
        return compare_with_published(figure, None, not_run=why)
    rule = made.paper.table4
    micro = done.outcome(rule.metric, exclude_source=rule.exclude_source).micro
    return compare_with_published(figure, micro.mean, micro.low, micro.high, not_run=why)


def _why(made: Reproduction, dataset: str, test: SemanticTests | None, what: str, done: bool) -> str:
    """Return why there is no figure to compare with the published one; empty if there is one."""
    if test is None:
        return made.skipped.get(dataset, "not requested")
    if done:
        return _SIMULATED if made.simulated else ""
    return test.why.get(what) or test.why.get("model") or "no result"
