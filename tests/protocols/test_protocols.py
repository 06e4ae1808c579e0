"""Each protocol gives the figures that a few lines of numpy give from the lists of videos."""

import re

import numpy as np
import pytest
from official import UCF101, official_features
from tiny import make_features

from zslbench.cells.rows import is_reference
from zslbench.cells.store import Record
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.video_lists import base_and_novel, video_list
from zslbench.errors import ZslbenchError
from zslbench.features.simulated import simulate
from zslbench.leaderboard.board import build_rows
from zslbench.method import Report
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.semantics.class_vectors import open_semantics


def cells(**settings):
    return make_plan(make_experiment({"dataset": "ucf101", "features": "official", **settings})).cells


def nearest(features, rows, names):
    """Return whether the nearest class vector by cosine is the right one, by a float64 loop."""
    vectors = open_semantics("minilm", UCF101).take(names).vectors.astype(np.float64)
    right = []
    for i in rows:
        video = features.store.gather(np.array([i])).astype(np.float64).mean(axis=0)
        cosines = vectors @ video / np.linalg.norm(vectors, axis=1)
        right.append(names[int(np.argmax(cosines))] == UCF101.classes[features.labels[i]])
    return np.array(right)


def test_official_lists_test_the_listed_videos_of_all_classes(tmp_path):
    features = official_features(tmp_path / "raw", clips=1)
    for index, cell in enumerate(cells(method="nearest-text", family="official-lists")):
        # UCF101's lists are by group: 1 to 7 are tested by list 1, 8 to 14 by list 2, 15 to 21 by list 3.
        groups = [int(re.search(r"_g(\d+)_", video)[1]) for video in features.ids]
        rows = [i for i, group in enumerate(groups) if 7 * index < group <= 7 * index + 7]
        outcome = evaluate(cell, Report())
        assert outcome.predictions.num_rows == len(rows)
        assert outcome.result.metrics["top1"] == pytest.approx(nearest(features, rows, UCF101.classes).mean())
        assert outcome.result.metrics["chance"] == 1 / 101


def test_all_classes_tests_every_video_without_training(tmp_path):
    features = official_features(tmp_path / "raw", clips=1)
    (cell,) = cells(method="nearest-text", family="all-classes")
    result = evaluate(cell, Report()).result
    assert (result.present, result.expected) == (len(features.ids), 13320)
    right = nearest(features, range(len(features.ids)), UCF101.classes)
    assert result.metrics["top1"] == pytest.approx(right.mean())


def test_the_expected_number_of_videos_is_that_of_the_list(tmp_path):
    official_features(tmp_path / "raw", clips=1)
    results = [evaluate(cell, Report()).result for cell in cells(method="random", family="official-lists")]
    assert [result.expected for result in results] == [3783, 3734, 3696]
    assert all(result.present < result.expected for result in results)


@pytest.mark.slow
def test_supervised_and_few_shot_train_on_listed_videos_and_test_others_of_the_same_classes(tmp_path):
    features = official_features(tmp_path / "raw")
    listed, drawn = video_list("ucf101", "official-1"), video_list("ucf101", "2-shot-1")
    from zslbench.run.task import build_task

    (supervised, *_), (shots,) = (
        cells(method="ridge", protocol="supervised"),
        cells(method="ridge", protocol="few-shot", shots=2),
    )
    task = build_task(supervised)
    assert (len(task.train), len(task.test)) == (9537, 3783)
    assert task.seen.all()
    assert set(listed.sides(task.ids)) == {"test"}
    few = build_task(shots)
    assert len(few.train) == 2 * 101 == len(drawn.train)
    assert np.bincount(few.train.labels).tolist() == [2] * 101
    assert sorted(few.ids) == sorted(task.ids)
    assert {video for video, _ in few.training} == set(drawn.train)
    assert all(UCF101.classes[features.labels[features.ids.index(video)]] == name for video, name in few.training)
    trained = {features.ids[i] for i in np.flatnonzero(np.array(drawn.sides(features.ids)) == "train")}
    assert not trained & set(few.ids)


@pytest.mark.parametrize(
    ("listed", "settings"), [("official-1", {"protocol": "supervised"}), ("2-shot-1", {"shots": 2})]
)
@pytest.mark.slow
def test_figures_of_trained_classes_are_those_of_a_loop_over_the_listed_videos(tmp_path, listed, settings):
    features = official_features(tmp_path / "raw", clips=None if "shots" in settings else 1, noise=5.0)
    cell = cells(method="nearest-class-mean", **{"protocol": "few-shot", **settings})[0]
    sides = video_list("ucf101", listed).sides(features.ids)
    unit = [x / np.linalg.norm(x) for x in features.store.pooled().astype(np.float64)]
    trained = {}
    for x, label, side in zip(unit, features.labels.tolist(), sides, strict=True):
        if side == "train":
            trained.setdefault(label, []).append(x)
    means = np.array([sum(trained[label]) for label in range(101)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    right = {}
    for x, label, side in zip(unit, features.labels.tolist(), sides, strict=True):
        if side == "test":
            right.setdefault(label, []).append(int(np.argmax(means @ x)) == label)
    metrics = evaluate(cell, Report()).result.metrics
    assert metrics["top1"] == pytest.approx(np.mean([each for videos in right.values() for each in videos]))
    assert metrics["top1_per_class"] == pytest.approx(np.mean([np.mean(videos) for videos in right.values()]))
    assert 0.05 < metrics["top1"] < 0.99


@pytest.mark.slow
def test_base_and_novel_videos_are_compared_with_their_own_side_only(tmp_path):
    features = official_features(tmp_path / "raw")
    (cell, *_) = cells(method="nearest-text", protocol="base-to-novel")
    result = evaluate(cell, Report()).result
    tested = np.flatnonzero(np.array(video_list("ucf101", "base-to-novel-1").sides(features.ids)) == "test")
    found = []
    for names in base_and_novel("ucf101"):
        of_side = {UCF101.label_of[name] for name in names}
        found.append(nearest(features, [i for i in tested if features.labels[i] in of_side], names).mean())
    base, novel = found
    assert result.metrics["base"] == pytest.approx(base)
    assert result.metrics["novel"] == pytest.approx(novel)
    assert result.metrics["HM"] == pytest.approx(2 / (1 / base + 1 / novel))
    assert "H" not in result.metrics


@pytest.mark.slow
def test_rows_of_every_protocol_are_stored_verified_and_shown(zslbench, tmp_path):
    official_features(tmp_path / "raw", clips=1)
    results = ("--results", str(tmp_path / "runs"))
    run = ("run", "--method", "nearest-text", "--dataset", "ucf101", "--splits", "1", "--keep-scores", *results)
    for protocol, figure in {"zsl": "top-1", "supervised": "top-1", "few-shot": "top-1", "base-to-novel": "HM"}.items():
        family = ("--family", "official-lists") if protocol == "zsl" else ()
        code, said, errors = zslbench(*run, "--protocol", protocol, *family)
        assert code == 0, errors
        assert f"protocol {protocol}" in said
        assert figure in said
    code, said, _ = zslbench("results", "verify", *results)
    assert (code, "4 cells verified: nothing wrong" in said) == (0, True)
    code, said, _ = zslbench("leaderboard", "--format", "csv", *results)
    assert said.count("\nnearest-text") == 4


@pytest.mark.slow
def test_a_classifier_of_trained_classes_is_no_reference_line_and_has_a_gain(tmp_path):
    official_features(tmp_path / "raw")
    made = cells(method=["nearest-class-mean", "nearest-text", "random"], protocol="few-shot", shots=2)
    rows = {
        row.method: row for row in build_rows([Record(cell, evaluate(cell, Report()).result) for cell in made]).rows
    }
    assert {name: is_reference(row) for name, row in rows.items()} == {
        "nearest-class-mean": False, "nearest-text": False, "random": True,
    }  # fmt: skip
    assert rows["nearest-class-mean"].gain is not None
    assert rows["random"].gain is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"method": "nearest-class-mean"}, "scores only the classes that it was trained on"),
        ({"method": "uda", "protocol": "few-shot"}, "few-shot has no unseen class"),
        ({"method": "ridge", "family": "official-lists"}, "no training classes, and ridge trains"),
        ({"method": "ridge", "family": "16-shot"}, "splits of few-shot, not of zsl"),
        (
            {"method": "ridge", "protocol": "supervised", "family": "16-shot"},
            "not of supervised; use --protocol few-shot",
        ),
        ({"method": "ridge", "protocol": "few-shot", "family": "supervised-lists"}, "supervised, or --family 16-shot"),
        ({"method": "ridge", "family": "base-to-novel"}, "splits of base-to-novel, not of zsl"),
        ({"method": "ridge", "protocol": "few-shot", "family": "xu-50/50"}, "splits of zsl or gzsl, not of few-shot"),
        ({"method": "ridge", "shots": 4}, "--shots has no meaning in zsl"),
        ({"method": "ridge", "protocol": "few-shot", "shots": 4, "family": "4-shot"}, "--shots and --family 4-shot"),
        ({"method": "ridge", "protocol": "few-shot", "shots": 900}, "900 videos per class cannot be drawn"),
        ({"method": "ridge", "protocol": "supervised", "train": "kinetics400"}, "leave out --train"),
        ({"method": "ridge", "without_overlap": True}, "name it with --train"),
        ({"method": "ridge", "train": "ucf101"}, "trains and tests on ucf101"),
        ({"method": "ridge", "train": "kinetics401"}, "no dataset is called 'kinetics401'"),
        (
            {"method": "ridge", "train": "kinetics400"},
            "ridge trains on kinetics400, which has no feature set 'official'",
        ),
    ],
)
def test_settings_that_contradict_each_other_get_one_sentence(tmp_path, settings, says):
    official_features(tmp_path / "raw", clips=1)
    with pytest.raises(ZslbenchError, match=re.escape(says)) as error:
        cells(**settings)
    assert "\n" not in str(error.value)


def test_a_feature_set_that_lacks_the_test_videos_of_a_class_is_refused(tmp_path):
    tested = [video for video in video_list("ucf101", "official-2").test if video.startswith("v_Archery")]
    official_features(tmp_path / "raw", clips=1, left_out=tested)
    with pytest.raises(ZslbenchError, match=r"no test video of official-2 in 1 classes \(Archery\)"):
        cells(method="random", family="official-lists")


def test_training_on_another_dataset_needs_the_same_extractor(tmp_path):
    official_features(tmp_path / "raw", clips=1)
    make_features("kinetics400", "official", per_class=1)
    with pytest.raises(ZslbenchError, match="have different extractors"):
        cells(method="ridge", train="kinetics400")


def test_untrained_methods_need_no_features_of_the_training_dataset(tmp_path):
    official_features(tmp_path / "raw", clips=1)
    made = make_plan(
        make_experiment({"dataset": "ucf101", "features": "official", "method": "nearest-text", "train": "kinetics400"})
    )
    (cell,) = made.cells
    assert (cell.family, cell.seen_features_digest) == ("k400->ucf101", None)
    assert evaluate(cell, Report()).result.metrics["top1"] > 0.5
    assert any("43 of the 101 tested classes" in notice for notice in made.notices)


def test_kinetics600_is_tested_after_kinetics400_if_its_features_are_there():
    make_features("kinetics600", "tiny", per_class=1)
    settings = {"dataset": "kinetics600", "features": "tiny", "splits": "1"}
    (cell,) = make_plan(make_experiment(settings | {"method": "ridge"})).cells
    assert cell.family == "random-50/50"
    make_features("kinetics400", "tiny", per_class=1)
    (cell,) = make_plan(make_experiment(settings | {"method": "ridge"})).cells
    assert cell.family == "kinetics-zsar"


def test_a_family_of_one_split_runs_without_splits_being_named():
    make_features("ucf101", per_class=1)
    made = make_plan(
        make_experiment({"dataset": "ucf101", "features": "tiny", "method": "random", "family": "truze-v1"})
    )
    assert len(made.cells) == 1
    assert get_dataset("ucf101").family("truze-v1").n_distinct == 1


@pytest.mark.parametrize(("protocol", "family"), [("few-shot", "8-shot"), ("base-to-novel", "base-to-novel-8")])
def test_simulated_videos_are_drawn_since_they_are_on_no_published_list(protocol, family):
    made = make_plan(
        make_experiment({"dataset": "hmdb51", "method": "ridge", "protocol": protocol, "splits": "1"}),
        simulate=lambda dataset: simulate(dataset, videos_per_class=20),
    )
    assert [cell.family for cell in made.cells] == [family]
