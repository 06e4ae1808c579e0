"""``zslbench semantic-tests arithmetic``: test whether "play piano" - "piano" + "violin" gives "play violin"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from zslbench.cli._console import table
from zslbench.cli._files import FILE, PICTURES, check_suffix, write_results, writing
from zslbench.cli._help import Verb
from zslbench.cli._model import chosen_embeddings, chosen_inputs, model_options
from zslbench.cli._output import echo, say
from zslbench.errors import ZslbenchError
from zslbench.semantic_tests import analogies
from zslbench.semantic_tests.arithmetic import DISTANCES, ArithmeticTest, MetricOutcome, pair_rows, summary
from zslbench.tables.writer import interval_text, share_text

if TYPE_CHECKING:
    from zslbench.datasets.dataset import Dataset
    from zslbench.stats.intervals import Estimate

_MOST_FAILURES = 10  # pairs that the console shows
_HMDB51 = "There is no published figure: the paper leaves out HMDB51, because none of its verbs has several nouns."
Place = Callable[[NDArray[np.float32]], NDArray[Any]]


@click.command(
    "arithmetic",
    cls=Verb,
    examples=[
        "zslbench semantic-tests arithmetic --dataset ucf101",
        "zslbench semantic-tests arithmetic --dataset ucf101 --method action2vec --out pairs.csv",
    ],
)
@model_options
@click.option("--groups", help="The dataset's list of verb groups, or auto. [default: its first list, else auto]")
@click.option(
    "--noun-vectors",
    type=click.Choice(["unit", "raw"]),
    default="unit",
    help="unit: unit vectors, mapped by the method like class vectors. raw: vectors as stored, not mapped.",
)
@click.option("--picture", type=FILE, help="Draw examples to a .png, .svg or .pdf file.")
@click.option("--out", type=FILE, help="Write all results to .json, or all pairs to .csv.")
def arithmetic(
    groups: str | None, noun_vectors: str, picture: Path | None,
    out: Path | None, **model: Any,
) -> None:  # fmt: skip
    """Test vector arithmetic (Action2Vec, section 4.2.2): class "verb noun1" - noun1 + noun2 -> class "verb noun2".

    The classes are the mean embeddings of a method's videos (--method or --model), or else plain class vectors
    (--semantics). The table has all metrics; verbs and picture are those of its first row.
    """
    from zslbench.semantic_tests.arithmetic import vector_arithmetic

    check_suffix("--picture", picture, PICTURES)
    check_suffix("--out", out, (".json", ".csv"))
    if model["features"] and not (model["method"] or model["model"]):
        raise ZslbenchError(
            "--features alone contain no words to subtract; add the --method that maps them to class vectors, or leave "
            "out --features to test the class vectors themselves."
        )
    dataset, features = chosen_inputs(model)
    name, chosen = analogies.choose_groups(dataset, groups)
    covered = features.covered if features else dataset.classes
    usable = analogies.covered_groups(chosen, covered)  # raises before anything is trained
    embeddings, spec, trained = chosen_embeddings(model, dataset, features)
    place = trained.method.place if trained else None
    nouns = _nouns(spec, dataset, analogies.nouns_of(usable), noun_vectors == "raw", place)
    test = vector_arithmetic(embeddings, chosen, nouns)
    outcome = test.outcome("euclidean", exclude_source=True)
    _show(test, outcome, f"groups {name}, nouns {spec} ({noun_vectors})")
    if dataset.name == "hmdb51":
        say(_HMDB51)
    _show_failures(test, outcome)
    if out:
        about = {"dataset": dataset.name, "groups": name, "semantics": spec, "noun_vectors": noun_vectors}
        rows = pair_rows(test)
        write_results(out, rows, about | summary(test) | {"by_pair": rows})
    if picture:
        _draw(picture, test, outcome, dataset)


def _nouns(spec: str, dataset: Dataset, nouns: list[str], raw: bool, place: Place | None) -> dict[str, NDArray[Any]]:
    """Return noun -> vector, in the space of the class embeddings."""
    from zslbench.semantic_tests.arithmetic import noun_vectors

    found = noun_vectors(spec, dataset, nouns, raw=raw)
    if raw or place is None:
        return dict(found)
    return dict(zip(found, place(np.stack(list(found.values())).astype(np.float32)), strict=True))


def _show(test: ArithmeticTest, shown: MetricOutcome, how: str) -> None:
    say(
        f"{test.title}\n{how}: {_count(len(test.pairs), 'pair')}, {_count(len(test.verbs), 'verb')}, "
        f"{len(test.names)} classes"
    )
    if test.without_class:
        say(f"{test.without_class:,} pairs are left out, because the features have no video of one of their classes.")
    if test.without_noun:
        say(f"{test.without_noun:,} pairs are left out, because there is no vector of {', '.join(test.missing_nouns)}.")
    echo()
    rows = []
    for outcome in test.outcomes:
        micro, macro = test.shares(outcome.without_arithmetic)
        rows.append((
            outcome.metric, _rule(outcome), *_estimate(outcome.micro), *_estimate(outcome.macro),
            share_text(micro), share_text(macro), share_text(outcome.chance),
        ))  # fmt: skip
    heads = ["metric", "source", "passes %", "95 %\nover verbs", "mean over\nverbs %", "95 %", "no nouns\n%"]
    table(rows, [*heads, "no nouns,\nverbs %", "chance\n%"])
    guess, by_verb = map(share_text, test.shares(test.sibling_chance))
    stays = " and ".join(f"{share_text(test.source_nearest(metric))} % ({metric})" for metric in DISTANCES)
    say(
        "\nThe first row is the main result. It leaves out the source, as word analogies do; the paper does not say.\n"
        f"The source itself stays nearest in {stays} of the pairs.\n"
        "'no nouns' is the share that passes if no noun is subtracted or added. A guess among the verb's other "
        f"classes would pass {guess} % ({by_verb} % as a mean over verbs).\n"
        f"The median length of the step w(noun2) - w(noun1) is {test.step_length:.2f}; the median distance to "
        f"cover is {test.gap_length:.2f}."
    )
    if len(test.verbs) < 3:
        say("There is no interval over verbs, because there are fewer than three verbs.")
    _show_seen(test, shown)
    say(f"\n{shown.metric}, source {_rule(shown)}:\n")
    table_of_verbs = [
        (
            verb,
            len(places),
            *(share_text(values[places].mean()) for values in (shown.correct, shown.without_arithmetic)),
            share_text(test.sibling_chance[places].mean()),
        )
        for verb, places in test.verbs.items()
    ]
    table(table_of_verbs, ["verb", "pairs", "passes %", "no nouns %", "guess within %"])


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _show_seen(test: ArithmeticTest, shown: MetricOutcome) -> None:
    """Print how many pairs pass among the classes that the model was trained on, and among the others."""
    if test.both_seen is None:
        return
    if test.both_seen.all() or not test.both_seen.any():
        say(f"The model was trained on both classes of {'every' if test.both_seen.all() else 'no'} pair.")
        return
    parts = [
        f"{share_text(shown.correct[chosen].mean())} % of the {int(chosen.sum())} {what}"
        for chosen, what in (
            (test.both_seen, "pairs of two classes that the model was trained on"),
            (~test.both_seen, "others"),
        )
    ]
    say(f"Of {shown.metric}, source {_rule(shown)}: {' and '.join(parts)} pass.")


def _show_failures(test: ArithmeticTest, shown: MetricOutcome) -> None:
    failed = np.flatnonzero(~shown.correct)
    rows = []
    for i in failed[:_MOST_FAILURES]:
        pair, near = test.pairs[i], (test.names[row] for row in shown.nearest[i])
        rows.append((f"{pair.source} - {pair.minus} + {pair.plus}", pair.target, ", ".join(near)))
    if rows:
        echo()
        table(rows, [f"{len(failed):,} fail", "should be", "nearest"])
    if len(failed) > _MOST_FAILURES:
        echo(f"... and {len(failed) - _MOST_FAILURES:,} more: --out FILE.csv")


def _rule(outcome: MetricOutcome) -> str:
    return "left out" if outcome.exclude_source else "included"


def _estimate(estimate: Estimate) -> tuple[str, str]:
    return share_text(estimate.mean), interval_text(100 * estimate.low, 100 * estimate.high)


def _draw(picture: Path, test: ArithmeticTest, outcome: MetricOutcome, dataset: Dataset) -> None:
    from zslbench.report.analogies import analogy_figure, drawn_examples

    figure = analogy_figure(test, outcome, drawn_examples(outcome, test.verbs), labels=dataset.phrases["plain"])
    with writing("--picture", picture) as work:
        figure.savefig(work)
