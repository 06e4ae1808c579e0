"""``zslbench semantic-tests wordnet``: test whether embeddings of classes that WordNet calls similar are close."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from zslbench.cli._console import table
from zslbench.cli._files import FILE, PICTURES, check_suffix, write_results, writing
from zslbench.cli._help import Verb
from zslbench.cli._model import check_features, chosen_inputs, chosen_model, model_options
from zslbench.cli._output import echo, say
from zslbench.features.feature_set import FeatureSet
from zslbench.tables.widths import filled

if TYPE_CHECKING:
    from zslbench.datasets.dataset import Dataset
    from zslbench.embeddings.class_embeddings import ClassEmbeddings
    from zslbench.semantic_tests.matrices import WordNetComparison, WordNetMatrix

_MOST_NAMES = 61


@click.command(
    "wordnet",
    cls=Verb,
    examples=[
        "zslbench semantic-tests wordnet --dataset ucf101 --semantics minilm",
        "zslbench semantic-tests wordnet --dataset ucf101 --method action2vec --picture maps.svg",
    ],
)
@model_options
@click.option(
    "--look-up",
    type=click.Choice(["phrase", "single-word", "first-word"]),
    default="phrase",
    help="Look up the whole name ('balance beam' is an entry), only names of one word, or the first word of each name.",
)
@click.option("--pos", type=click.Choice(["any", "noun", "verb"]), default="any",
              help="Part of speech.")  # fmt: skip
@click.option("--synsets", type=click.Choice(["max", "first"]), default="max",
              help="Compare the most similar synsets of two names, or the first of each.")  # fmt: skip
@click.option(
    "--undefined",
    type=click.Choice(["skip", "zero", "root"]),
    default="skip",
    help="Pairs without a common part of speech: leave out, count as 0, or compare under one root.",
)
@click.option("--diagonal", type=click.Choice(["exclude", "include"]), default="exclude",
              help="Whether a class's similarity with itself counts.")  # fmt: skip
@click.option("--edits", default="plain", help="The dataset's name-edit table.")
@click.option(
    "--paper-style", is_flag=True, help="Include the diagonal, which gives values as high as the Action2Vec paper's."
)
@click.option("--permutations", type=click.IntRange(min=1), default=999, help="Permutations of Mantel's test.")
@click.option("--picture", type=FILE, help="Draw heat maps to a .png, .svg or .pdf file.")
@click.option("--out", type=FILE, help="Write all results to .json, or all pairs to .csv.")
def wordnet(
    look_up: Any, pos: Any, synsets: Any, undefined: Any, diagonal: str, edits: str, paper_style: bool,
    permutations: int, picture: Path | None, out: Path | None, **model: Any,
) -> None:  # fmt: skip
    """Compare class embeddings with WordNet (Action2Vec, section 4.2.1).

    Spearman's correlation compares each row of Wu-Palmer similarities with the same row of cosines, and is averaged
    over rows. The class vectors (--semantics) are always compared. --features adds mean-pooled features; --method or
    --model adds the method's mean class embeddings and its features.
    """
    from zslbench.semantic_tests.matrices import WordNetRules, compare_with_wordnet, wordnet_matrix

    check_suffix("--picture", picture, PICTURES)
    check_suffix("--out", out, (".json", ".csv"))
    rules = WordNetRules(
        look_up=look_up, pos=pos, synsets=synsets, undefined=undefined, edits=edits,
        diagonal=paper_style or diagonal == "include",
    )  # fmt: skip
    dataset, features = chosen_inputs(model)
    if features and len(features.covered) < len(dataset.classes):
        echo(f"note: only classes with videos are compared ({features.title})", err=True)
    matrix = wordnet_matrix(dataset, rules, names=features.covered if features else None)
    found = [
        compare_with_wordnet(matrix, embeddings, permutations=permutations, seed=model["seed"])
        for embeddings in _embeddings(model, dataset, features, matrix.names)
    ]
    _show(matrix, found, permutations, model["seed"])
    if out:
        _write(out, matrix, found)
    if picture:
        from zslbench.report.matrices import matrices_figure

        shown = [("WordNet (Wu-Palmer)", matrix.matrix), *((_heading(each), each.cosines) for each in found)]
        title = f"{dataset.display_name}: {matrix.coverage()}. Rules: {rules.describe()}."
        figure = matrices_figure(shown, matrix.names, diagonal=rules.diagonal, title=title)
        with writing("--picture", picture) as work:
            figure.savefig(work, bbox_inches="tight")


def _embeddings(
    options: Mapping[str, Any], dataset: Dataset, features: FeatureSet | None, names: tuple[str, ...]
) -> Iterator[ClassEmbeddings]:
    """Yield class vectors, then mean-pooled features, then a method's mean class embeddings."""
    from zslbench.embeddings.class_embeddings import from_features, from_method, from_vectors

    model = chosen_model(options) if options["method"] or options["model"] else None
    semantics = model.card.cell.semantics if model else options["semantics"]
    yield replace(from_vectors(semantics, dataset, names), title=f"class vectors {semantics}")
    if features:
        yield replace(from_features(features), title=f"pooled {features.manifest.name}")
    if model and features:
        found = replace(from_method(model, check_features(model, features)), title=model.card.title)
        seen = {name for name, seen in zip(found.names, () if found.seen is None else found.seen, strict=False) if seen}
        echo(f"note: trained on {len(seen.intersection(names))} of the {len(names)} classes compared", err=True)
        yield found


def _show(matrix: WordNetMatrix, found: Sequence[WordNetComparison], permutations: int, seed: int) -> None:
    say(f"Rules: {matrix.rules.describe()}.")
    say(f"{matrix.dataset}: {matrix.coverage()}.")
    if matrix.left_out:
        more = len(matrix.left_out) - _MOST_NAMES
        tail = f" and {more} more (all: --out FILE.json)" if more > 0 else ""
        echo(filled(f"Left out: {', '.join(matrix.left_out[:_MOST_NAMES])}{tail}.", others="  "))
    echo()
    rows = [
        (each.title, f"{each.correlation.rho:.4f}", f"[{each.correlation.low:.3f}, {each.correlation.high:.3f}]",
         f"{each.correlation.n_rows} of {len(matrix.names)}", f"{each.correlation.p:.3f}")
        for each in found
    ]  # fmt: skip
    table(rows, ["embedding", "rho", "95 % over classes", "rows", "p"])
    say(
        f"\nrho: Spearman's correlation of Wu-Palmer similarities and cosines, mean over rows. Interval: jackknife "
        f"over classes. p: Mantel's test, one-sided, {permutations:,} permutations of the classes, seed {seed}."
    )
    if matrix.rules.diagonal:
        say("Every class is most similar to itself in both matrices, so the diagonal raises rho for any embedding.")


def _heading(found: WordNetComparison) -> str:
    """Return the heading of a matrix."""
    each = found.correlation
    return f"{found.title}\nrho {each.rho:.4f} [{each.low:.3f}, {each.high:.3f}], p {each.p:.3f}"


def _write(out: Path, matrix: WordNetMatrix, found: Sequence[WordNetComparison]) -> None:
    """Write every pair as CSV, or all results as JSON."""
    values = {"wordnet": matrix.matrix, **{each.title: each.cosines for each in found}}
    columns = {title: each.ravel().tolist() for title, each in values.items()}
    pairs = zip(product(matrix.names, repeat=2), *columns.values(), strict=True)
    rows = ({"class": one, "other": other, **dict(zip(columns, of, strict=True))} for (one, other), *of in pairs)
    embeddings = [
        {"title": each.title, "rho": each.correlation.rho,
         "interval_95": _jsonable(np.array([each.correlation.low, each.correlation.high])),
         "rows": each.correlation.n_rows,
         "p": each.correlation.p, "permutations": each.correlation.permutations,
         "rho_by_class": dict(zip(matrix.names, _jsonable(each.correlation.rows), strict=True)),
         "cosines": _jsonable(each.cosines)}
        for each in found
    ]  # fmt: skip
    record = {
        "dataset": matrix.dataset, "rules": matrix.rules.model_dump(), "names": matrix.names,
        "looked_up": matrix.terms, "left_out": matrix.left_out, "wordnet": _jsonable(matrix.matrix),
        "embeddings": embeddings,
    }  # fmt: skip
    write_results(out, rows, record)


def _jsonable(values: NDArray[np.float64]) -> Any:
    """Return nested lists with ``None`` for NaN."""
    return np.where(np.isnan(values), np.array(None), values).tolist()  # JSON has no NaN
