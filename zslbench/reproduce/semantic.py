"""Run the semantic tests of a reproduction with one model of all classes, and draw figures 2 and 4."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from zslbench.cells.cell import Cell
from zslbench.embeddings.class_embeddings import ClassEmbeddings, from_features, from_method, from_vectors
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.feature_set import FeatureSet
from zslbench.reproduce.page import Picture
from zslbench.reproduce.reproduction import Reproduction
from zslbench.reproduce.tables import display
from zslbench.semantic_tests.arithmetic import ArithmeticTest, noun_vectors, vector_arithmetic, with_nouns

if TYPE_CHECKING:
    from zslbench.run.models import SavedModel
    from zslbench.semantic_tests import matrices
    from zslbench.semantic_tests.analogies import Groups


@dataclass
class SemanticTests:
    """The semantic tests on one dataset; ``why`` has the reasons for missing ones.

    Attributes
    ----------
    embeddings
        Name of the embeddings in the ledger -> the class embeddings.
    wordnet
        Whether the diagonal counts -> name of the embeddings -> their comparison with WordNet.
    arithmetic
        Name of a list of verb groups -> its test; the first is the dataset's default.
    why
        ``model``, ``wordnet`` or ``arithmetic`` -> the reason.
    titles
        Name of the embeddings in the ledger -> what they were computed from here.

    Examples
    --------
    >>> not_made([SemanticTests("ucf101", why={"wordnet": "WordNet is missing"})])
    ['table 3 of UCF101 not run: WordNet is missing']
    """

    dataset: str
    embeddings: dict[str, ClassEmbeddings] = field(default_factory=dict)
    wordnet: dict[bool, dict[str, matrices.WordNetComparison]] = field(default_factory=dict)
    coverage: str = ""
    arithmetic: dict[str, ArithmeticTest] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)


def tests_of(made: Reproduction, train: Callable[[Cell], SavedModel]) -> list[SemanticTests]:
    """Run the semantic tests on every dataset of the run.

    Parameters
    ----------
    train
        Function from a cell to its model of all classes.
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
        names.model: f"{made.paper.row(names.row).method} of {features.title} (paper: {names.model})",
    }
    # Each step has its own try: one that cannot be done must not prevent the others.
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
            raise ZslbenchError(f"the paper leaves out {display(dataset)}")
        _arithmetic(found, made, features, place)
    except ZslbenchError as error:
        found.why["arithmetic"] = str(error)
    return found


def _wordnet(found: SemanticTests, features: FeatureSet) -> None:
    from zslbench.semantic_tests.matrices import WordNetRules, compare_with_wordnet, wordnet_matrix

    for diagonal in (True, False):
        matrix = wordnet_matrix(features.dataset, WordNetRules(diagonal=diagonal), names=features.covered)
        found.coverage = f"{matrix.coverage()}; {matrix.rules.describe(diagonal=False)}"
        found.wordnet[diagonal] = {name: compare_with_wordnet(matrix, own) for name, own in found.embeddings.items()}


def _arithmetic(found: SemanticTests, made: Reproduction, features: FeatureSet, place: Callable[..., Any]) -> None:
    """Test every shipped list of verb groups of the dataset."""
    embeddings = found.embeddings[made.paper.semantic.model]
    for name, (groups, nouns) in _lists(made, features).items():
        placed = place(np.stack(list(nouns.values())).astype(np.float32))
        found.arithmetic[name] = vector_arithmetic(embeddings, groups, dict(zip(nouns, placed, strict=True)))


def _lists(made: Reproduction, features: FeatureSet) -> dict[str, tuple[Groups, dict[str, Any]]]:
    """Return name -> verb groups and noun vectors of each list that the features and class vectors cover.

    Raises
    ------
    ZslbenchError
        They cover no list.
    """
    from zslbench.semantic_tests.analogies import AUTO, choose_groups, covered_groups, nouns_of

    dataset, found = features.dataset, {}
    for name in dataset.analogies or (AUTO,):
        _, groups = choose_groups(dataset, name)
        try:
            nouns = noun_vectors(made.semantics, dataset, nouns_of(covered_groups(groups, features.covered)))
            with_nouns(groups, features.covered, nouns)
        except ZslbenchError as error:
            why = error
        else:
            found[name] = groups, nouns
    if not found:
        raise why
    return found


def foreseen(made: Reproduction) -> list[str]:
    """Return the tables and figures that cannot be made, with reasons, before the run; download WordNet if possible."""
    from zslbench.semantic_tests.wordnet_data import get_wordnet

    found = []
    try:
        get_wordnet()
    except NotFoundError as error:
        found.append(f"table 3 will not be made: {error}")
    for dataset, features in made.features.items():
        try:
            if dataset in made.paper.table4.datasets:
                _lists(made, features)
        except ZslbenchError as error:
            found.append(f"table 4 and figure 4 of {display(dataset)} will not be made: {error}")
    return found


def not_made(tests: Sequence[SemanticTests]) -> list[str]:
    """Return the tables and figures that were not made, with reasons."""
    names = {"model": "figure 2", "wordnet": "table 3", "arithmetic": "table 4 and figure 4"}
    return [
        f"{what} of {display(test.dataset)} not run: {test.why[key]}"
        for test in tests
        for key, what in names.items()
        if key in test.why
    ]


def pictures(made: Reproduction, tests: Sequence[SemanticTests]) -> list[Picture]:
    """Return figures 2 and 4 of every dataset of the run, or the reasons why they are missing."""
    several = len(tests) > 1
    found = []
    for test in tests:
        more = f"-{test.dataset}" if several else ""
        found += [_figure2(made, test, f"figure2{more}"), _figure4(made, test, f"figure4{more}")]
    return found


def _figure2(made: Reproduction, test: SemanticTests, stem: str) -> Picture:
    from zslbench.report.scatter import caption, describe_map, map_classes, scatter_figure, scatter_plotly

    heading = f"Figure 2: class embeddings of {display(test.dataset)}"
    classes = test.embeddings.get(made.paper.semantic.model)
    if classes is None:
        return Picture(stem, heading, why=test.why["model"])
    try:
        found = map_classes(classes, "tsne", seed=made.seed)
        figure = scatter_figure(found, title=_title(made, test.dataset))
    except ZslbenchError as error:
        return Picture(stem, heading, why=str(error))
    whose = "" if test.dataset in made.paper.figure2.datasets else " The paper has no such figure of this dataset."
    told = f"{caption(found)}{whose}{_quick(made)}"
    return Picture(stem, heading, figure, describe_map(found), told, interactive=scatter_plotly(found))


def _figure4(made: Reproduction, test: SemanticTests, stem: str) -> Picture:
    from zslbench.datasets.catalog import get_dataset
    from zslbench.report.analogies import analogy_figure, drawn_examples

    heading, rule = f"Figure 4: vector arithmetic on {display(test.dataset)}", made.paper.table4
    if not test.arithmetic:
        return Picture(stem, heading, why=test.why["arithmetic"])
    name, done = next(iter(test.arithmetic.items()))
    outcome = done.outcome(rule.metric, exclude_source=True)
    examples = drawn_examples(outcome, done.verbs, made.paper.figure4.examples, made.seed)
    phrases = get_dataset(test.dataset).phrases["plain"]
    told = [
        f"{phrases[done.pairs[i].source]} - {done.pairs[i].minus} + "
        f"{done.pairs[i].plus} is nearest {phrases[done.names[outcome.nearest[i, 0]]]}"
        for i in examples
    ]
    try:
        titled = replace(done, title=_title(made, test.dataset))
        figure = analogy_figure(titled, outcome, examples, labels=phrases)
    except ZslbenchError as error:
        return Picture(stem, heading, why=str(error))
    share = outcome.micro.mean
    caption = (
        f"{len(examples)} examples, drawn at random, verbs in turn; half of them pass, if there are enough such pairs. "
        f"{share:.4f} of {len(outcome.correct)} pairs of the list {name} pass with the source left out."
        f"{_quick(made)}"
    )
    return Picture(stem, heading, figure, f"Examples of vector arithmetic: {'; '.join(told)}.", caption)


def _title(made: Reproduction, dataset: str) -> str:
    """Return the title of a picture, with all marks, since a picture may be copied from its page."""
    marks = [name for name, holds in (("SIMULATED FEATURES", made.simulated), ("QUICK RUN", made.quick)) if holds]
    return ", ".join([f"{made.paper.semantic.model} of {made.features[dataset].title}", *marks])


def _quick(made: Reproduction) -> str:
    return " QUICK settings." if made.quick else ""
