"""Tables 3 and 4 and figures 2 and 4 of a reproduction: the semantic tests of one model of all classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench.agreement import Comparison, compare
from zslbench.cell import Cell
from zslbench.embeddings import ClassEmbeddings, from_features, from_method, from_vectors
from zslbench.errors import ZslbenchError
from zslbench.features import FeatureSet
from zslbench.published import Published
from zslbench.report.page import Shown
from zslbench.reproduce import Reproduction
from zslbench.reproduce_page import Picture
from zslbench.reproduce_tables import (
    Block,
    Caveats,
    ResultTable,
    display,
    inputs,
    interval,
    loud,
    percent,
    semantic_figure,
    status,
    verdict,
)
from zslbench.reproduce_tables import (
    Cell as TableCell,
)

if TYPE_CHECKING:
    from zslbench.models import SavedModel
    from zslbench.semantic_tests import matrices
    from zslbench.semantic_tests.arithmetic import ArithmeticTest

_SIMULATED = "only on simulated features, no video was looked at"


@dataclass
class SemanticTests:
    """The semantic tests on one dataset; what could not be done has its reason in ``why``.

    Attributes
    ----------
    embeddings
        Name of the embeddings in the ledger -> the class embeddings.
    wordnet
        Whether the diagonal counts -> name of the embeddings -> its comparison with WordNet.
    why
        ``model``, ``wordnet`` or ``arithmetic`` -> the reason.
    titles
        Name of the embeddings in the ledger -> what they are of here.
    """

    dataset: str
    embeddings: dict[str, ClassEmbeddings] = field(default_factory=dict)
    wordnet: dict[bool, dict[str, matrices.Comparison]] = field(default_factory=dict)
    coverage: str = ""
    groups: str = ""
    arithmetic: ArithmeticTest | None = None
    why: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)


def tests_of(made: Reproduction, train: Callable[[Cell], SavedModel]) -> list[SemanticTests]:
    """Return the semantic tests on every dataset that is run.

    Parameters
    ----------
    train
        Function from a cell to its method, trained on all classes.
    """
    return [_tests(made, dataset, features, train) for dataset, features in made.features.items()]


def _tests(
    made: Reproduction, dataset: str, features: FeatureSet, train: Callable[[Cell], SavedModel]
) -> SemanticTests:
    found, names = SemanticTests(dataset), made.paper.semantic
    cells = [t.cells[0] for t in made.tasks if t.dataset == dataset and t.row.name == names.row and t.cells]
    found.titles = {
        names.pooled: f"pooled {features.title} (paper: {names.pooled})",
        names.class_vectors: f"{made.semantics} (paper: {names.class_vectors})",
        names.model: f"{made.paper.row(names.row).setting(made.reading).method} of {features.title} "
        f"(paper: {names.model})",
    }
    found.embeddings[names.pooled] = from_features(features)
    place = None
    try:
        found.embeddings[names.class_vectors] = from_vectors(made.semantics, features.dataset, features.covered)
        if not cells:
            raise ZslbenchError(next(t.why for t in made.tasks if t.dataset == dataset and t.why))
        model = train(cells[0])
        found.embeddings[names.model] = from_method(model, features)
        place = model.method.place
    except ZslbenchError as error:
        found.why["model"] = str(error)
    try:
        _wordnet(found, features)
    except ZslbenchError as error:
        found.why["wordnet"] = str(error)
    try:
        if place is None:
            raise ZslbenchError(found.why["model"])
        if dataset not in made.paper.table4.datasets:
            raise ZslbenchError(f"the paper leaves {display(dataset)} out")
        _arithmetic(found, made, features, place)
    except ZslbenchError as error:
        found.why["arithmetic"] = str(error)
    return found


def _wordnet(found: SemanticTests, features: FeatureSet) -> None:
    from zslbench.semantic_tests.matrices import WordNetRules, compare, wordnet_matrix

    for diagonal in (True, False):
        matrix = wordnet_matrix(features.dataset, WordNetRules(diagonal=diagonal), names=features.covered)
        found.coverage = f"{matrix.coverage()}; {matrix.rules.describe(diagonal=False)}"
        found.wordnet[diagonal] = {name: compare(matrix, own) for name, own in found.embeddings.items()}


def _arithmetic(found: SemanticTests, made: Reproduction, features: FeatureSet, place: Callable[..., Any]) -> None:
    from zslbench.semantic_tests.analogies import choose_groups, covered_groups, nouns_of
    from zslbench.semantic_tests.arithmetic import noun_vectors, vector_arithmetic

    embeddings = found.embeddings[made.paper.semantic.model]
    found.groups, groups = choose_groups(features.dataset)
    nouns = noun_vectors(made.semantics, features.dataset, nouns_of(covered_groups(groups, embeddings.names)))
    placed = place(np.stack(list(nouns.values())).astype(np.float32))
    found.arithmetic = vector_arithmetic(embeddings, groups, dict(zip(nouns, placed, strict=True)))


def semantic_tables(made: Reproduction, tests: Sequence[SemanticTests]) -> list[ResultTable]:
    """Return tables 3 and 4."""
    by_dataset = {test.dataset: test for test in tests}
    return [_table3(made, by_dataset), _table4(made, by_dataset)]


def _table3(made: Reproduction, tests: Mapping[str, SemanticTests]) -> ResultTable:
    paper = made.paper
    names = (paper.semantic.pooled, paper.semantic.class_vectors, paper.semantic.model)
    measured = Block(
        f"Measured: Spearman's correlation with WordNet's matrix, the mean over rows{loud(made)}",
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
            outcome = _held_against(figure, counted, why)
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
                | {"simulated": made.simulated, "quick": made.quick, "reading": made.reading}
            )
        published.rows.append([name, *(caveats.cell(figures[name, dataset]) for dataset in paper.datasets)])
    notes = [
        paper.semantic.note,
        *(f"{display(t.dataset)}: {t.coverage}." for t in tests.values() if t.coverage),
    ]
    notes += [
        paper.table3.note,
        "Interval: 95 % jackknife over classes (each is left out in turn, its row and its column). p: one-sided Mantel "
        "test, classes permuted 999 times.",
        *caveats.notes(),
    ]
    return ResultTable("table3", "Table 3: WordNet matrices", [measured, published], inputs(made), notes, facts)


def _held_against(figure: Published | None, own: matrices.Comparison | None, why: str) -> Comparison:
    if own is None:
        return compare(figure, None, not_run=why)
    found = own.correlation
    return compare(figure, found.rho, found.low, found.high, not_run=why)


def _rho_cells(own: matrices.Comparison | None) -> list[TableCell]:
    if own is None:
        return ["-", "-", "-"]
    found = own.correlation
    return [percent(found.rho, 4), interval(found.low, found.high, 3), f"{found.p:.3f}"]


def _table4(made: Reproduction, tests: Mapping[str, SemanticTests]) -> ResultTable:
    paper, rule = made.paper, made.paper.table4
    datasets = list(dict.fromkeys([*rule.datasets, *made.features]))
    measured = Block(
        f"Measured: share of \"verb noun1\" - noun1 + noun2 whose nearest class is \"verb noun2\"{loud(made)}",
        ["dataset", "pairs", "source may be the answer", "95 % over verbs", "source left out", "95 % over verbs",
         "mean over verbs, source left out", "status"],
    )  # fmt: skip
    published = Block(f"Published ({paper.source}), never ranked with the measured figures", ["dataset", "share"])
    figures = {dataset: semantic_figure(made, paper.semantic.model, dataset, "accuracy") for dataset in datasets}
    caveats, facts = Caveats(figures.values()), []
    for dataset in datasets:
        test, figure = tests.get(dataset), figures[dataset]
        done = test.arithmetic if test else None
        outcome = _arithmetic_outcome(made, dataset, test)
        line: list[TableCell] = ["-", "-", "-", "-", "-", "-"]
        if done:
            line = [Shown(f"{len(done.pairs)}", len(done.pairs))]
            for exclude in (False, True):
                micro = done.outcome(rule.metric, exclude_source=exclude).micro
                line += [percent(micro.mean, 4), interval(micro.low, micro.high, 4)]
            line.append(percent(done.outcome(rule.metric, exclude_source=True).macro.mean, 4))
        measured.rows.append([display(dataset), *line, status(outcome)])
        if figure:
            published.rows.append([display(dataset), caveats.cell(figure)])
        facts.append(
            {"dataset": dataset, **verdict(outcome), "pairs": len(done.pairs) if done else ""}
            | {"groups": test.groups if test else "", "metric": rule.metric, "exclude_source": rule.exclude_source}
            | {"source_left_out": f"{done.outcome(rule.metric, exclude_source=True).micro.mean:.4f}" if done else ""}
            | {"simulated": made.simulated, "quick": made.quick, "reading": made.reading}
        )
    listed = [f"{display(t.dataset)}: the pairs of the list {t.groups!r}." for t in tests.values() if t.arithmetic]
    notes = [
        paper.semantic.note,
        *listed,
        f"Nearest by {rule.metric} distance among all classes of the feature set.",
    ]
    return ResultTable(
        "table4", "Table 4: vector arithmetic", [measured, published], inputs(made), notes + caveats.notes(), facts
    )


def _arithmetic_outcome(made: Reproduction, dataset: str, test: SemanticTests | None) -> Comparison:
    rule = made.paper.table4
    figure = semantic_figure(made, made.paper.semantic.model, dataset, "accuracy")
    done = test.arithmetic if test else None
    why = _why(made, dataset, test, "arithmetic", done is not None)
    if done is None:
        return compare(figure, None, not_run=why)
    micro = done.outcome(rule.metric, exclude_source=rule.exclude_source).micro
    return compare(figure, micro.mean, micro.low, micro.high, not_run=why)


def _why(made: Reproduction, dataset: str, test: SemanticTests | None, what: str, done: bool) -> str:
    """Return why there is nothing to hold against the published figure; nothing where there is something."""
    if test is None:
        return made.skipped.get(dataset, "not asked for")
    if done:
        return _SIMULATED if made.simulated else ""
    return test.why.get(what) or test.why.get("model") or "no result"


def pictures(made: Reproduction, tests: Sequence[SemanticTests]) -> list[Picture]:
    """Return figures 2 and 4 of every dataset that is run, or why they are not there."""
    several = len(tests) > 1
    found = []
    for test in tests:
        more = f"-{test.dataset}" if several else ""
        found += [_figure2(made, test, f"figure2{more}"), _figure4(made, test, f"figure4{more}")]
    return found


def _figure2(made: Reproduction, test: SemanticTests, stem: str) -> Picture:
    from zslbench.report.scatter import caption, describe, project, scatter_figure, scatter_plotly

    heading = f"Figure 2: class embeddings of {display(test.dataset)}"
    classes = test.embeddings.get(made.paper.semantic.model)
    if classes is None:
        return Picture(stem, heading, why=test.why["model"])
    try:
        found = project(classes, "tsne", seed=made.seed)
        figure = scatter_figure(found, title=_title(made, test.dataset))
    except ZslbenchError as error:
        return Picture(stem, heading, why=str(error))
    whose = "" if test.dataset in made.paper.figure2.datasets else " The paper has no such picture of this dataset."
    told = f"{caption(found)}{whose}{_quick(made)}"
    return Picture(stem, heading, figure, describe(found), told, interactive=scatter_plotly(found))


def _figure4(made: Reproduction, test: SemanticTests, stem: str) -> Picture:
    from zslbench.registry import get_dataset
    from zslbench.report.analogies import analogy_figure, drawn_examples

    heading, rule = f"Figure 4: vector arithmetic on {display(test.dataset)}", made.paper.table4
    if test.arithmetic is None:
        return Picture(stem, heading, why=test.why["arithmetic"])
    outcome = test.arithmetic.outcome(rule.metric, exclude_source=True)
    examples = drawn_examples(outcome, test.arithmetic.verbs, made.paper.figure4.examples, made.seed)
    phrases = get_dataset(test.dataset).phrases["plain"]
    told = [
        f"{phrases[test.arithmetic.pairs[i].source]} - {test.arithmetic.pairs[i].minus} + "
        f"{test.arithmetic.pairs[i].plus} is nearest {phrases[test.arithmetic.names[outcome.nearest[i, 0]]]}"
        for i in examples
    ]
    try:
        titled = replace(test.arithmetic, title=_title(made, test.dataset))
        figure = analogy_figure(titled, outcome, examples, labels=phrases)
    except ZslbenchError as error:
        return Picture(stem, heading, why=str(error))
    share = outcome.micro.mean
    caption = (
        f"{len(examples)} examples, half of them passing as far as there are such (drawn at random, verbs in turn); "
        f"{share:.4f} of {len(outcome.correct)} pairs pass with the source left out.{_quick(made)}"
    )
    return Picture(stem, heading, figure, f"Examples of vector arithmetic: {'; '.join(told)}.", caption)


def _title(made: Reproduction, dataset: str) -> str:
    """Return the title of a picture, which can be taken out of its page."""
    marks = [name for name, holds in (("SIMULATED FEATURES", made.simulated), ("QUICK RUN", made.quick)) if holds]
    return ", ".join([f"{made.paper.semantic.model} of {made.features[dataset].title}", *marks])


def _quick(made: Reproduction) -> str:
    return " QUICK settings." if made.quick else ""
