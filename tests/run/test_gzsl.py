"""GZSL holds out the published test list, and offers the classes of two datasets."""

import numpy as np
import pytest
from official import official_features
from tiny import make_features

from zslbench.cells.cell import Cell
from zslbench.cells.store import Store
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.split_files import write_imported
from zslbench.datasets.splits import Split, SplitFamily
from zslbench.datasets.video_lists import known_lists, video_list
from zslbench.embeddings.class_embeddings import from_method
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.features.video_lists import held_out_list
from zslbench.files import new_directory
from zslbench.method import Report
from zslbench.proof.verify import verify
from zslbench.run.experiment import make_experiment
from zslbench.run.inputs import seen_features
from zslbench.run.plan import make_plan
from zslbench.run.runner import fitted_model, run_cell
from zslbench.run.task import build_task
from zslbench.videos import storage

HMDB51 = get_dataset("hmdb51")


def planned(**settings):
    given = {"method": "nearest-text", "dataset": "ucf101", "protocol": "gzsl", "splits": "1", "calibrate": False}
    return make_plan(make_experiment(given | settings)).cells


def test_the_test_videos_of_seen_classes_are_those_of_the_published_list(tmp_path):
    official_features(tmp_path, clips=1)
    (cell,) = planned()
    listed = video_list("ucf101", "official-1")
    assert cell.held_out == ("official-1", listed.digest)
    assert cell.id != Cell.model_validate(cell.model_dump() | {"held_out": None}).id
    task = build_task(cell)
    tested = {video for video, label in zip(task.ids, task.labels, strict=True) if task.seen[label]}
    of = known_lists("ucf101").class_of
    test, train = (
        {v for v in side if of[v] in task.split.seen and v.endswith("c01")} for side in (listed.test, listed.train)
    )
    assert tested == test
    assert task.seen_test == "official-1 of ucf101"
    assert set(of_training(cell, task)) == train


def test_a_set_with_its_own_lists_or_with_other_ids_holds_out_as_before(tmp_path):
    assert held_out_list(make_features()) is None
    assert held_out_list(make_features(name="own", official=True)) is None
    lists = video_list("ucf101", "official-1")
    archery = [v for v in lists.train if "_Archery_" in v]
    assert held_out_list(official_features(tmp_path, clips=1)) is not None
    assert held_out_list(official_features(tmp_path, "few", clips=1, left_out=archery)) is None  # none would train


def one_sided(side, only=("run", "walk", "wave")):
    """Write features of HMDB51 whose videos of ``only`` are all on one side; without a side, of one group."""
    frames = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    with new_directory(feature_path("hmdb51", "sides")) as folder:
        writer = FeatureWriter(folder, 8, "float32")
        for name in ("chew", "jump", "run", "walk", "wave"):
            lists = [side] * 4 if name in only or not side else ["train", "test"] * 2
            groups = ["g1"] * 4 if name in only else ["g1", "g2"] * 2
            writer.append([f"{name}{i}" for i in range(4)], [name] * 4, groups, lists, np.ones(4, int), frames)
        writer.finish(dataset="hmdb51", name="sides", classes_digest=HMDB51.digest, kind="pooled", extractor="e")


@pytest.mark.parametrize(("side", "lacks"), [("train", "test"), ("test", "training")])
def test_seen_classes_that_would_be_left_out_of_s_and_h_are_refused(side, lacks):
    one_sided(side)
    with pytest.raises(ZslbenchError, match=rf"has no {lacks} videos of \d of \d seen classes \(.*run.*official"):
        planned(method="ridge", dataset="hmdb51", splits="3")
    planned(method="ridge", dataset="hmdb51", splits="3", protocol="zsl")  # which needs no sides


def test_a_class_of_one_source_group_cannot_be_tested_as_seen():
    one_sided("")
    with pytest.raises(ZslbenchError, match="no test videos of .* import videos of more source groups"):
        planned(method="ridge", dataset="hmdb51", splits="3")


@pytest.mark.parametrize(("side", "lacks"), [("train", "test"), ("test", "training")])
@pytest.mark.parametrize("protocol", ["gzsl", "supervised", "few-shot"])
def test_features_of_one_side_only_get_one_sentence(side, lacks, protocol):
    one_sided(side, ("chew", "jump", "run", "walk", "wave"))
    method = "ridge" if protocol == "gzsl" else "nearest-class-mean"
    shots = {"shots": 3} if protocol == "few-shot" else {}  # no published draw, so that the column counts
    with pytest.raises(ZslbenchError, match=f"no {lacks} video") as error:
        planned(method=method, dataset="hmdb51", protocol=protocol, calibrate=True, **shots)
    assert "import features" in str(error.value)


def test_an_untrained_method_needs_no_training_videos_unless_it_is_calibrated():
    one_sided("test")
    planned(dataset="hmdb51", splits="3", method="random")
    with pytest.raises(ZslbenchError, match="has no training videos of"):
        planned(dataset="hmdb51", splits="3", method="random", calibrate=True)


@pytest.fixture
def both(tmp_path):
    """Features of one extractor for both datasets, under one name."""
    official_features(tmp_path, "both", clips=1)
    make_features(name="both", dim=384, extractor="made", trained_on=["nothing"], pooled=True)


def test_gzsl_across_datasets_offers_the_classes_of_both_and_is_verified(both, tmp_path):
    (cell,) = planned(train="hmdb51", without_overlap=True, features="both", method="ridge")
    task = build_task(cell)
    assert task.test_classes.names[:51] == tuple(f"{name} (hmdb51)" for name in HMDB51.classes)
    assert task.test_classes.names[51:] == task.split.unseen
    assert task.seen_classes.names == task.test_classes.names[:51]
    of_seen = task.seen[task.labels]
    assert {video.startswith("hmdb51/") for video, one in zip(task.ids, of_seen, strict=True) if one} == {True}
    trained = {f"hmdb51/{video}" for video in of_training(cell, task)}
    assert not trained & set(task.ids)
    store = Store(tmp_path / "runs")
    run_cell(cell, store, Report())
    found = verify(store)
    assert (found.defects, dict(found.unchecked)) == ([], {})
    assert store.read(cell.id).result.metrics["S"] > 0.1


def of_training(cell, task):
    return [seen_features(cell).ids[i] for i in storage(task.train).rows]


def test_each_tested_video_across_datasets_has_its_own_frames_and_label(both):
    (cell,) = planned(train="hmdb51", without_overlap=True, features="both")
    task = build_task(cell)
    sets = {name: open_features(get_dataset(name), "both") for name in ("hmdb51", "ucf101")}
    pooled = task.test.pooled()
    for i in range(0, len(task.ids), 97):
        dataset, _, video = task.ids[i].rpartition("/")
        features = sets[dataset or "ucf101"]
        row = features.ids.index(video)
        np.testing.assert_allclose(pooled[i], features.store.pooled()[row], rtol=1e-6)
        name = features.dataset.classes[features.labels[row]] + (f" ({dataset})" if dataset else "")
        assert task.test_classes.names[task.labels[i]] == name


def test_classes_of_one_name_are_refused_with_the_remedy(both):
    with pytest.raises(ZslbenchError, match=r"the name of a training class .* use --train hmdb51 --without-overlap"):
        planned(train="hmdb51", features="both")


def test_a_class_of_one_name_in_a_later_split_is_refused_too(both):
    trained = HMDB51.classes
    splits = [Split(trained, tested, seen_dataset="hmdb51") for tested in (("YoYo", "TaiChi"), ("YoYo", "PullUps"))]
    write_imported([SplitFamily("mine", "ucf101", tuple(splits), "a test")])
    with pytest.raises(ZslbenchError, match=r"1 of the 3 tested classes of mine have the name .*\(PullUps\)"):
        planned(family="mine", features="both")


def test_a_saved_model_knows_the_seen_classes_by_their_own_names(both, tmp_path):
    (cell,) = planned(train="hmdb51", without_overlap=True, features="both", method="ridge")
    model = fitted_model(cell, Store(tmp_path / "runs"))
    assert model.card.trained == HMDB51.classes
    seen, unseen = (from_method(model, open_features(get_dataset(name), "both")) for name in ("hmdb51", "ucf101"))
    assert seen.seen.all()
    assert not unseen.seen.any()
    assert model.classes_of(["brush hair", "TaiChi"], HMDB51).names == ("brush_hair (hmdb51)", "TaiChi")


def test_gzsl_needs_videos_of_the_seen_classes_even_for_an_untrained_method(tmp_path):
    official_features(tmp_path, clips=1)
    with pytest.raises(NotFoundError, match="gzsl also tests videos of hmdb51, which has no feature set 'official'"):
        planned(train="hmdb51", without_overlap=True)
