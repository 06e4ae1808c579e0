"""Controls of time: what they do to the frames of a video, which videos they change, and where a row of one stands."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_features, plan

from zslbench.cells.store import Store
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import derive_features
from zslbench.leaderboard.board import build_rows
from zslbench.leaderboard.comparison import compare
from zslbench.leaderboard.tables import write_table
from zslbench.method import Report
from zslbench.run import inputs
from zslbench.run.controls import ControlledStore
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import make_experiment
from zslbench.run.inputs import cached_features
from zslbench.run.plan import make_plan
from zslbench.run.task import build_task
from zslbench.videos import FrameStore, Videos

KINDS = ("shuffled-frames", "reversed", "single-frame")


@pytest.fixture(autouse=True)
def fresh_caches():
    for cache in (cached_features, inputs._cached_vectors, inputs._cached_auxiliary):
        cache.cache_clear()


def store_of(arrays, tokens=1):
    lengths = np.array([len(array) for array in arrays])
    return FrameStore(np.concatenate(arrays), np.cumsum(lengths) - lengths, lengths, tokens)


def cells_of(control, method="ridge", **more):
    """Return the cell without a control, then those of the controls, of one split."""
    return plan(method=method, splits="1", control=control, **more)


# What happens to the frames of a video.


@given(st.integers(0, 1000), st.lists(st.integers(1, 6), min_size=1, max_size=5), st.sampled_from([1, 3]), st.data())
@settings(max_examples=40, deadline=None)
def test_frames_change_their_place_with_their_patches_and_nothing_else(seed, lengths, tokens, data):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(n, tokens, 2)).astype(np.float32) for n in lengths]
    plain = store_of([array.reshape(-1, 2) for array in arrays], tokens)
    rows = np.array(data.draw(st.lists(st.integers(0, len(arrays) - 1), max_size=6)), dtype=int)
    ids = [f"v{i}" for i in range(len(arrays))]
    for kind in KINDS:
        store = ControlledStore(plain, kind, ids)
        view = Videos(store, rows)
        for i, row in enumerate(rows.tolist()):
            found, frames = view.sequence(i).reshape(-1, tokens, 2), arrays[row]
            if kind == "reversed":
                np.testing.assert_array_equal(found, frames[::-1])
            elif kind == "single-frame":
                np.testing.assert_array_equal(found, frames[[len(frames) // 2]])
            else:
                assert sorted(map(bytes, found)) == sorted(map(bytes, frames))
        for batch in view.batches(2):
            np.testing.assert_array_equal(batch.frames, store.gather(rows[batch.index]))
            np.testing.assert_array_equal(batch.lengths, store.lengths[rows[batch.index]])
        means = [view.sequence(i).reshape(-1, tokens, 2)[:, 0].astype(float).mean(axis=0) for i in range(len(rows))]
        np.testing.assert_allclose(view.pooled(), np.reshape(means, (-1, 2)), atol=1e-6)


def test_the_order_of_a_shuffled_video_follows_from_its_id_alone():
    frames = np.arange(12.0).reshape(6, 2)
    first = ControlledStore(store_of([frames, frames]), "shuffled-frames", ["a", "b"])
    moved = ControlledStore(store_of([frames[:3], frames, frames]), "shuffled-frames", ["c", "b", "a"])
    for place, other in ((0, 2), (1, 1)):
        np.testing.assert_array_equal(first.gather(np.array([place])), moved.gather(np.array([other])))
    assert not np.array_equal(first.gather(np.array([0])), first.gather(np.array([1])))


def test_each_order_of_three_frames_is_equally_likely():
    n = 3000
    store = ControlledStore(store_of([np.arange(3.0)[:, None]] * n), "shuffled-frames", [f"v{i}" for i in range(n)])
    drawn = [tuple(order) for order in store.gather(np.arange(n)).reshape(n, 3).astype(int).tolist()]
    counts = np.array([drawn.count(order) for order in permutations(range(3))])
    assert counts.sum() == n
    assert ((counts - n / 6) ** 2 / (n / 6)).sum() < 20.5  # chi-squared with five degrees of freedom: p = 0.001


# Which videos of a cell are changed.


def test_a_control_changes_the_test_videos_and_leaves_the_training_videos():
    make_features()
    plain, *others = map(build_task, cells_of(KINDS))
    for task, kind in zip(others, KINDS, strict=True):
        assert task.ids == plain.ids
        np.testing.assert_array_equal(task.labels, plain.labels)
        for i in range(10):
            np.testing.assert_array_equal(task.train.sequence(i), plain.train.sequence(i))
            frames, found = plain.test.sequence(i), task.test.sequence(i)
            assert {frame.tobytes() for frame in found} <= {frame.tobytes() for frame in frames}
            assert len(found) == (1 if kind == "single-frame" else len(frames))
        assert any(not np.array_equal(task.test.sequence(i), plain.test.sequence(i)) for i in range(10))


def test_with_train_at_its_end_it_changes_the_training_videos_of_both_datasets():
    make_features("hmdb51", dim=32)
    make_features("ucf101", dim=32, per_class=4)
    plain, cell = cells_of("reversed+train", auxiliary="ucf101@tiny")
    ours, theirs = build_task(plain), build_task(cell)
    own, other = (np.flatnonzero(ours.seen_classes.auxiliary[ours.train.labels] == side)[:9] for side in (False, True))
    for i in [*own, *other]:
        np.testing.assert_array_equal(theirs.train.sequence(i), ours.train.sequence(i)[::-1])
    np.testing.assert_array_equal(theirs.test.sequence(0), ours.test.sequence(0)[::-1])


def test_frames_that_a_pca_projects_are_changed_too():
    features = make_features()
    derive_features(features.dataset, "tiny", "small", k=5, fit="seen")
    plain, cell = cells_of("reversed", features="small")
    ours, theirs = build_task(plain), build_task(cell)
    for i in range(5):
        np.testing.assert_allclose(theirs.test.sequence(i), ours.test.sequence(i)[::-1], atol=1e-5)


def test_cells_share_one_store_of_a_control():
    make_features()
    from zslbench.videos import storage

    cells = plan(method="ridge", splits="2", control="reversed+train")
    controlled = [build_task(cell) for cell in cells if cell.control]
    stores = {id(storage(videos).store) for task in controlled for videos in (task.train, task.test)}
    assert len(controlled) == 2
    assert len(stores) == 1


# What a method makes of them.


@pytest.mark.parametrize("method", ["ridge", "pooled-krr", "eszsl"])
def test_a_method_on_means_keeps_its_figures_under_another_order(method):
    make_features()
    plain, shuffled, back = (
        evaluate(cell, Report()) for cell in cells_of(("shuffled-frames", "reversed+train"), method)
    )
    for other in (shuffled, back):
        np.testing.assert_allclose(other.scores, plain.scores, rtol=1e-4, atol=1e-5)
        assert other.result.metrics["top1"] == pytest.approx(plain.result.metrics["top1"])
    assert plain.result.metrics["top1"] > 0.08  # chance 0.04


def test_one_noisy_frame_is_worse_than_the_mean_of_several():
    make_features(noise=3.0, per_class=20, dim=32)
    top1 = [evaluate(cell, Report()).result.metrics["top1"] for cell in cells_of("single-frame")]
    assert top1[1] < top1[0] - 0.02


def test_a_method_over_sequences_scores_shuffled_videos_differently():
    make_features()
    small = {"hidden1": 8, "hidden2": 8, "epochs": 1, "min_batches": 1}
    plain, back, trained = (
        evaluate(cell, Report()).scores
        for cell in cells_of(("reversed", "reversed+train"), "single-lstm", set={"single-lstm": small})
    )
    assert np.abs(plain - back).max() > 1e-4
    assert np.abs(back - trained).max() > 1e-4


def test_gzsl_changes_the_seen_test_videos_too():
    make_features()
    plain, cell = cells_of("reversed", protocol="gzsl")
    ours, theirs = build_task(plain), build_task(cell)
    for i in np.flatnonzero(ours.seen[ours.labels])[:5]:
        np.testing.assert_array_equal(theirs.test.sequence(i), ours.test.sequence(i)[::-1])
    assert np.isfinite(evaluate(cell, Report()).result.metrics["H_calibrated"])


# The identity, the plan and the rows.


def test_a_control_is_part_of_the_identity_and_cells_without_one_keep_theirs():
    make_features()
    plain, *others = cells_of((*KINDS, "reversed+train"))
    assert [cell.control for cell in others] == [*KINDS, "reversed+train"]
    assert len({cell.id for cell in (plain, *others)}) == 5
    assert plain.id == plan(method="ridge", splits="1")[0].id
    assert plain.extras == {}
    assert others[0].name == "ridge [shuffled-frames]"


def test_features_with_one_frame_a_video_are_refused(zslbench, tmp_path):
    make_features(pooled=True)
    for control in KINDS:
        with pytest.raises(ZslbenchError, match="is pooled, one frame per video") as error:
            cells_of(control)
        assert "\n" not in str(error.value)
        assert f"--control {control} changes nothing" in str(error.value)
    run = ("run", "--method", "ridge", "--dataset", "hmdb51", "--features", "tiny", "--results", tmp_path / "runs")
    assert zslbench(*run, "--control", "reversed")[0] == 2
    assert not (tmp_path / "runs").exists()


def test_an_unknown_control_is_refused_and_those_of_a_file_are_read(zslbench, tmp_path):
    make_features()
    file = tmp_path / "e.toml"
    head = 'method = "ridge"\ndataset = "hmdb51"\nfeatures = "tiny"\nsplits = 1\n'
    file.write_text(head + 'control = ["reversed", "single-frame"]\n')
    run = ("run", "--experiment", file, "--results", tmp_path / "runs", "--dry-run")
    code, out, err = zslbench(*run)
    assert code == 0, err
    assert out.count("ridge [reversed]") == out.count("ridge [single-frame]") == 1
    assert "methods that read only the mean of a video's frames keep their figures under --control reversed" in err
    file.write_text(head + 'control = "backwards"\n')
    code, _, err = zslbench(*run)
    assert code == 2
    assert "--control: 'backwards' is not known. Known: reversed" in err
    assert zslbench(*run, "--control", "backwards")[0] == 2


def test_only_controls_of_order_are_noted():
    make_features()
    settings = {"method": ("ridge", "action2vec"), "dataset": "hmdb51", "features": "tiny", "splits": "1"}
    notices = make_plan(make_experiment(settings | {"control": ("single-frame", "reversed")})).notices
    assert [notice for notice in notices if "keep their figures" in notice] == [
        "methods that read only the mean of a video's frames keep their figures under --control reversed, but for "
        "rounding: ridge."
    ]
    assert not make_plan(make_experiment(settings | {"control": "single-frame"})).notices


def test_a_row_of_a_control_has_no_rank_and_every_verb_reads_it(zslbench, tmp_path):
    make_features(noise=1.0)
    runs = tmp_path / "runs"
    code, out, err = zslbench(
        "run", "--method", "ridge", "--method", "sae", "--dataset", "hmdb51", "--features", "tiny", "--splits", "2",
        "--control", "single-frame", "--results", runs, "--no-track",
    )  # fmt: skip
    assert code == 0, err
    assert "ridge [single-frame]" in out
    assert "[single-frame]: a control" in out
    board = build_rows(Store(runs).records())
    assert [(row.name, row.rank) for row in board][2:] == [
        (row.name, None) for row in sorted(board[2:], key=lambda row: -row.figures["top1"])
    ]
    assert {row.rank for row in board[:2]} == {1, 2}
    assert {row.control for row in board} == {"", "single-frame"}
    (pair,) = compare(Store(runs).records(), ("ridge", "ridge [single-frame]"))[0].comparisons
    ours, theirs = (next(row for row in board if row.name == name) for name in (pair.first, pair.second))
    assert pair.result.mean == pytest.approx(pair.values[0] - pair.values[1])
    assert pair.values[0] == pytest.approx(ours.figures["top1_per_class"], abs=0.02)
    assert theirs.control == "single-frame" or ours.control == "single-frame"
    everything = compare(Store(runs).records())[0]
    assert [row.control for row in everything.rows] == ["", ""]  # controls do not weigh on Holm's correction
    for verb in (
        ("leaderboard", "--published"), ("results", "verify"), ("results", "list"), ("audit",),
        ("results", "export", tmp_path / "b.zip"),
    ):  # fmt: skip
        code, _, err = zslbench(*verb, "--results", runs)
        assert code == 0, (verb, err)
    cell = next(record.cell.id for record in Store(runs).records() if record.cell.control)
    assert "single-frame" in zslbench("results", "show", cell, "--results", runs)[1]
    code, out, _ = zslbench("leaderboard", "--results", tmp_path / "b.zip", "--control", "none")
    assert code == 0
    assert "single-frame" not in out
    code, out, _ = zslbench("results", "list", "--results", tmp_path / "b.zip", "--control", "single-frame")
    assert out.count("ridge [single-frame]") == 2


def test_one_row_and_its_controls_are_compared_without_naming_them(zslbench, tmp_path):
    make_features()
    code, _, err = zslbench(
        "run", "--method", "ridge", "--dataset", "hmdb51", "--features", "tiny", "--splits", "2", "--control",
        "reversed", "--results", tmp_path / "runs", "--no-track",
    )  # fmt: skip
    assert code == 0, err
    (pair,) = compare(Store(tmp_path / "runs").records())[0].comparisons
    assert {pair.first, pair.second} == {"ridge", "ridge [reversed]"}
    assert pair.result.mean == 0
    assert "ridge \\[reversed\\]" in write_table(build_rows(Store(tmp_path / "runs").records()), "markdown")
