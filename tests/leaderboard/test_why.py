"""Why two figures differ: the differences, and effects against loops over the same counts."""

import numpy as np
import pytest
import tiny
from fakes import fake_record

from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.leaderboard.board import build_rows
from zslbench.leaderboard.why import explain
from zslbench.ledger.keys import find_published

TOP1, SCORED = (8, 5, 2, 9, 1), (10, 40, 20, 10, 10)


def explained(key, records, others=()):
    """Return the explanation of the row of ``records``; ``others`` are further cells of the same folder."""
    rows = list(build_rows([*records, *others], defaults=lambda label: {}))
    cell = records[0].cell
    row = next(row for row in rows if row.table.family == cell.family and row.table.semantics == cell.semantics
               and row.table.features == cell.features)  # fmt: skip
    return explain(find_published(key), row, cell, rows)


def named(made):
    return {each.what: each for each in made.differences}


def record(split=0, **cell):
    return fake_record("ridge", split=split, top1=TOP1, scored=SCORED, **cell)


def test_another_metric_moves_the_figure_by_the_difference_of_the_two_in_the_same_cells():
    made = explained("nn-svr-to-word-space@hmdb51", [record(split=i) for i in range(30)])
    per_video = 100 * sum(TOP1) / sum(SCORED)
    per_class = 100 * np.mean([a / b for a, b in zip(TOP1, SCORED, strict=True)])
    assert made.value == pytest.approx(per_video)
    assert named(made)["figure"].points == pytest.approx(per_class - per_video)
    assert made.gap == pytest.approx(13.0 - per_video)


def test_a_copied_table_that_does_not_say_how_it_counts_shows_what_the_other_count_gives():
    made = explained("eszsl@hmdb51", [record(split=i) for i in range(5)])
    figure = named(made)["figure"]
    assert figure.published == "per video or per class: not said"
    assert figure.points > 0


def test_fewer_splits_are_measured_on_those_splits_of_the_same_cells():
    family = get_dataset("hmdb51").family("xu-50/50")
    hits = np.random.default_rng(0).integers(0, 10, size=(50, 5))
    records = [
        fake_record("ridge", split=i, top1=tuple(row), split_digest=family.splits[i].digest)
        for i, row in enumerate(hits.tolist())
    ]
    found = named(explained("nn-svr-to-word-space@hmdb51", records))["number of splits"]
    assert (found.published, found.measured) == ("30", "50")
    expected = 100 * (hits[:30].sum(axis=1).mean() - hits.sum(axis=1).mean()) / 50
    assert found.points == pytest.approx(expected)


def test_other_splits_are_measured_by_a_row_that_differs_in_nothing_else():
    other = record(family="truze-v1", family_size=1, split_digest="truze", metrics={"chance": 1 / 22})
    ours = [record(split=i, metrics={"chance": 1 / 25}) for i in range(3)]
    elsewhere = record(family="truze-v1", family_size=1, split_digest="truze", semantics="glove")
    made = named(explained("sync@hmdb51", ours, [other]))
    assert made["protocol, splits"].points == pytest.approx(0)  # the same counts
    assert (made["candidate classes"].published, made["candidate classes"].measured) == ("22", "25")
    made = explained("sync@hmdb51", ours, [elsewhere])
    assert named(made)["protocol, splits"].points is None
    assert made.to_run.startswith("zslbench run --method ridge --dataset hmdb51 --family truze-v1 --splits all")


def test_overlap_is_measured_without_the_classes_that_the_extractor_has_met():
    found = tiny.make_features(name="c3d", extractor="c3d", trained_on=("kinetics400",))
    names = ("kiss", "climb", "laugh", "pour", "throw")  # Kinetics-400 has two of them by name
    records = [
        fake_record("ridge", split=i, top1=TOP1, scored=SCORED, names=names, features_digest=found.manifest.digest)
        for i in range(3)
    ]
    made = explained("sync@hmdb51", records)
    overlap = named(made)["overlap"]
    assert overlap.published == "none by name"
    assert overlap.measured == "2 classes met before"
    hits, videos = (values[1] + values[3] + values[4] for values in (TOP1, SCORED))
    assert overlap.points == pytest.approx(100 * (hits / videos - sum(TOP1) / sum(SCORED)))


def test_a_method_that_does_not_train_differs_in_training_only_from_one_that_does():
    untrained = [fake_record("nearest-text", split=i, family="official-lists", family_size=3) for i in range(3)]
    assert "trained on" not in named(explained("frozen-clip-b-16@hmdb51:clip-official3", untrained))
    made = named(explained("froster-b-16@hmdb51:clip-official3", untrained))
    assert (made["trained on"].published, made["trained on"].measured) == ("kinetics400", "nothing")
    assert "protocol, splits" not in made  # the same videos and classes


@pytest.mark.parametrize(
    ("key", "candidates"), [("x-clip-b-16@hmdb51:few-shot-2", "51"), ("bike-vit-l-14-8-frames-half@hmdb51", "25")]
)
def test_the_candidates_of_a_setting_are_those_of_its_splits(key, candidates):
    made = named(explained(key, [record(metrics={"chance": 1 / 10})]))
    assert (made["candidate classes"].published, made["candidate classes"].measured) == (candidates, "10")


def test_class_vectors_of_the_source_are_measured_by_a_row_with_them():
    other = fake_record("ridge", top1=(9, 9, 9, 9, 9), semantics="word2vec-xu")
    made = named(explained("eszsl@hmdb51", [record()], [other]))
    assert made["class vectors"].points == pytest.approx(90 - 100 * sum(TOP1) / sum(SCORED))
    assert made["class vectors"].how == "word2vec-xu"


def test_ddof_0_changes_the_spread_and_not_the_figure():
    records = [fake_record("ridge", split=i, top1=(i, i, i), family="xu-50/50") for i in range(4)]
    spread = named(explained("bike-vit-l-14-8-frames-half-class@hmdb51", records))["± is over"]
    values = [10.0 * i for i in range(4)]
    assert spread.points is None
    assert spread.how == f"the ± only: {np.std(values):.1f} instead of {np.std(values, ddof=1):.1f}"


def test_the_conclusion_claims_no_more_than_was_measured():
    made = explained("froster-b-16@hmdb51:clip-official3", [record()])
    assert "0 could be measured" in made.conclusion
    assert "How much the others explain is not known." in made.conclusion
    assert "no measure of the difference between the methods" in made.conclusion
    assert "trained on" in named(made)


def test_a_figure_that_is_no_accuracy_and_a_row_without_figures_are_refused():
    from zslbench.cells.cell import State

    with pytest.raises(ZslbenchError, match="the spearman of Word2Vec is no accuracy"):
        explained("word2vec@hmdb51", [record()])
    with pytest.raises(ZslbenchError, match="has no figures yet"):
        explained("sync@hmdb51", [fake_record("ridge", state=State.FAILED)])
