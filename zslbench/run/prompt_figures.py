"""Accuracy of methods over many prompts: the same videos and classes, whose names are spelt and framed differently.

Each prompt replaces the class vectors of a task, of its seen classes too; a method that trains is fitted again. Nothing
is chosen here: the figures use test labels, so a prompt that is picked by them is an oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zslbench.cells.cell import Cell
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.method import Classes, Report
from zslbench.run.evaluate import fit_and_score
from zslbench.run.inputs import cached_features, describe_classes, side_datasets
from zslbench.run.plan import Plan
from zslbench.run.split_videos import class_rows
from zslbench.run.task import Task, build_task
from zslbench.semantics.prompts import NO_TEMPLATE, prompt_means, prompt_texts, read_template, template_sets
from zslbench.stats.intervals import Float64Array, class_values, figure_by_split
from zslbench.stats.paired import LEAST_COMPARED_CLASSES, PairedDifference, compare_classes
from zslbench.videos import Videos, storage

Rows = Mapping[str, NDArray[Any]]  # text -> its vector
EncodeAll = Callable[[Sequence[str]], Rows]
_SAME = 2e-3  # of a value of unit vectors in float16, whose last bits depend on the other texts of a batch


class Prompt(NamedTuple):
    """A table of names and a template, or a set of templates whose mean is taken.

    Examples
    --------
    >>> Prompt("clip", "a video of {}").text
    'names=clip,template=a video of {}'
    """

    names: str
    template: str

    @property
    def text(self) -> str:
        """``names=clip,template=a video of {}``, as a source of class vectors takes it."""
        return f"names={self.names},template={self.template}"


@dataclass(frozen=True)
class PromptFigures:
    """Videos right per class, of each method with each prompt.

    Attributes
    ----------
    methods, prompts, classes
        Labels of the methods, the prompts and the names of the tested classes.
    correct
        (n_methods, n_prompts, n_splits, n_classes) videos right.
    scored
        (n_splits, n_classes) videos scored; 0 where a class was not tested in a split.
    same
        Table of names -> those before it that have the same vectors, and so are not counted again.

    Examples
    --------
    >>> correct = np.array([[[[8.0, 5.0, 2.0]], [[6.0, 5.0, 1.0]]], [[[7.0, 6.0, 1.0]], [[6.0, 3.0, 1.0]]]])
    >>> prompts = (Prompt("plain", "none"), Prompt("official", "none"))
    >>> found = PromptFigures(("a", "b"), prompts, ("run", "walk", "jump"), correct, np.full((1, 3), 10.0), {})
    >>> found.accuracy("top1").round(3).tolist()
    [[0.5, 0.4], [0.467, 0.333]]
    >>> [round(lead.mean, 3) for lead in found.leads("top1", 1)]
    [0.033, 0.067]
    """

    methods: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    classes: tuple[str, ...]
    correct: Float64Array
    scored: Float64Array
    same: Mapping[str, str]

    def accuracy(self, figure: str) -> Float64Array:
        """Return a figure (``top1``, ``top1_per_class``), mean over the splits, (n_methods, n_prompts)."""
        return np.array([
            [figure_by_split(counts, self.scored, figure).mean() for counts in of_method] for of_method in self.correct
        ])  # fmt: skip

    def leads(self, figure: str, other: int) -> list[PairedDifference]:
        """Return how much the first method leads another one with each prompt, paired over classes.

        Raises
        ------
        ZslbenchError
            There are fewer than three classes.
        """
        tested = self.scored.sum(axis=0) > 0
        if tested.sum() < LEAST_COMPARED_CLASSES:
            raise ZslbenchError(f"a comparison needs {LEAST_COMPARED_CLASSES} classes; use features of more.")
        first, second = (
            [class_values(counts, self.scored, figure)[tested] for counts in self.correct[i]] for i in (0, other)
        )
        return [compare_classes(a - b) for a, b in zip(first, second, strict=True)]

    @cached_property
    def usual(self) -> int | None:
        """Index of the prompt that is the default: plain names without a template."""
        plain = {"plain", self.same.get("plain", "plain")}
        usual = (i for i, each in enumerate(self.prompts) if each.names in plain and each.template == NO_TEMPLATE)
        return next(usual, None)


def make_prompts(names: Sequence[str], templates: Sequence[str]) -> tuple[Prompt, ...]:
    """Return the prompts of each table of names: each template by itself, and the mean of each set.

    Examples
    --------
    >>> len(make_prompts(["clip", "official"], ["none", "clip-ucf101"]))
    100
    """
    single = [each if each == NO_TEMPLATE else one for each in templates for one in read_template(each)]
    sets = [each for each in templates if each in template_sets()]
    return tuple(Prompt(table, each) for table in dict.fromkeys(names) for each in dict.fromkeys([*single, *sets]))


def usual_templates(dataset: str) -> list[str]:
    """Return the templates that a report tries by default; the set of CLIP that was written for this dataset.

    Examples
    --------
    >>> usual_templates("ucf101")
    ['none', 'a video of {}', 'clip-ucf101']
    """
    return [NO_TEMPLATE, "a video of {}", "clip-ucf101" if dataset == "ucf101" else "clip-kinetics"]


def measure_prompts(
    plan: Plan,
    prompts: Sequence[Prompt],
    encode: EncodeAll,
    *,
    all_classes: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> PromptFigures:
    """Fit and score a plan's methods with each prompt.

    Parameters
    ----------
    plan
        Cells of one dataset, one feature set and one seed. Their own class vectors are not used.
    encode
        Function from texts to the vector of each; it gets all texts at once, each of them once.
    all_classes
        Whether every class of the features is tested at once, without a split: for methods that do not train.
    progress
        Function of the number of scored prompts, and of all.

    Raises
    ------
    ZslbenchError
        A dataset lacks a table of names, or a method cannot work with these vectors.
    """
    cells = [cell for cell in plan.cells if not all_classes or cell.split == plan.cells[0].split]
    tasks = [_whole_task(cell) if all_classes else build_task(cell) for cell in cells]
    datasets = [get_dataset(name) for name in side_datasets(cells[0].dataset, cells[0].seen_dataset, None)]
    prompts, rows, same = _distinct(datasets, prompts, encode)
    known = tuple(sorted({name for task in tasks for name in task.test_classes.names}))
    methods = tuple(dict.fromkeys(cell.name for cell in cells))
    splits = list(dict.fromkeys(task.split.digest for task in tasks))
    correct = np.zeros((len(methods), len(prompts), len(splits), len(known)))
    scored = np.zeros((len(splits), len(known)))
    vectors = [{d.name: _vectors(d, each, rows) for d in datasets} for each in prompts]
    for n, (cell, task) in enumerate(zip(cells, tasks, strict=True)):
        place = np.searchsorted(known, task.test_classes.names)
        split = splits.index(task.split.digest)
        scored[split, place] = np.bincount(task.labels, minlength=len(place))
        for i, of_prompt in enumerate(vectors):
            best = fit_and_score(cell, _prompted(cell, task, of_prompt), Report()).scores.argmax(axis=1)
            right = np.bincount(task.labels[best == task.labels], minlength=len(place))
            correct[methods.index(cell.name), i, split, place] = right
            progress(n * len(prompts) + i + 1, len(cells) * len(prompts))
    return PromptFigures(methods, prompts, known, correct, scored, same)


def _whole_task(cell: Cell) -> Task:
    """Return a task with every class of the features to test, and nothing to train on."""
    features = cached_features(cell.dataset, cell.features, cell.features_digest)
    task = build_task(cell)
    rows, labels = class_rows(features, features.covered)
    nothing = np.array([], dtype=np.int64)
    vectors = np.zeros((len(features.covered), task.test_classes.vectors.shape[1]), dtype=np.float32)
    return replace(
        task,
        seen_classes=task.seen_classes.take(nothing),
        test_classes=describe_classes(cell, cell.dataset, features.covered, vectors),
        train=task.train.take(nothing),
        train_keys=[],
        test=Videos(storage(task.test)[0], rows),
        ids=[features.ids[i] for i in rows],
        labels=labels,
        seen=np.zeros(len(features.covered), dtype=bool),
    )


def _distinct(
    datasets: Sequence[Dataset], prompts: Sequence[Prompt], encode: EncodeAll
) -> tuple[tuple[Prompt, ...], Rows, dict[str, str]]:
    """Return the prompts, without tables of names whose vectors repeat those of another, and all texts' vectors."""
    texts = {prompt: [own for each in datasets for own in _texts(each, prompt)] for prompt in prompts}
    rows = encode(list(dict.fromkeys(text for of_prompt in texts.values() for own in of_prompt for text in own)))
    templates = dict.fromkeys(prompt.template for prompt in prompts)
    kept: list[str] = []
    same: dict[str, str] = {}
    for names in dict.fromkeys(prompt.names for prompt in prompts):
        for earlier in kept:
            if all(_alike(rows, texts[Prompt(names, each)], texts[Prompt(earlier, each)]) for each in templates):
                same[names] = earlier
                break
        else:
            kept.append(names)
    return tuple(prompt for prompt in prompts if prompt.names in kept), rows, same


def _alike(rows: Rows, one: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> bool:
    pairs = [(a, b) for own, theirs in zip(one, other, strict=True) for a, b in zip(own, theirs, strict=True)]
    return all(a == b or np.allclose(rows[a], rows[b], rtol=0, atol=_SAME) for a, b in pairs)


def _texts(dataset: Dataset, prompt: Prompt) -> list[tuple[str, ...]]:
    return prompt_texts(list(dataset.spelling(prompt.names).values()), prompt.template)


def _vectors(dataset: Dataset, prompt: Prompt, rows: Rows) -> NDArray[np.float32]:
    """Return the class vectors of all classes of a dataset, in its order."""
    return prompt_means(rows, _texts(dataset, prompt)).astype(np.float32)


def _prompted(cell: Cell, task: Task, vectors: Mapping[str, NDArray[np.float32]]) -> Task:
    """Return a task with other class vectors, which a method may change."""

    def with_vectors(classes: Classes, dataset: str) -> Classes:
        place = [get_dataset(dataset).label_of[name] for name in classes.names]
        return replace(classes, vectors=vectors[dataset][place])  # a copy

    return replace(
        task,
        seen_classes=with_vectors(task.seen_classes, cell.seen_dataset or cell.dataset),
        test_classes=with_vectors(task.test_classes, cell.dataset),
    )
