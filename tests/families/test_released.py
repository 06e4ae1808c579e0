"""Splits of the GZSL literature become families with their held-out videos, and wrong rows are refused."""

import json
import re

import numpy as np
import pytest
from official import official_features
from released import CLASSES, IDS, LABELS, ORDER, PATHS, chosen, ids, write_features, write_splits

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.split_files import read_imported, write_imported
from zslbench.datasets.splits import Split, SplitFamily, VideoChoice
from zslbench.datasets.video_ids import VideoList
from zslbench.errors import ZslbenchError
from zslbench.families.imported import SplitSource, read_families
from zslbench.features.feature_set import FeatureWriter, feature_path
from zslbench.files import new_directory
from zslbench.method import Report
from zslbench.run.evaluate import evaluate
from zslbench.run.experiment import make_experiment
from zslbench.run.plan import make_plan
from zslbench.run.task import build_task, split_task
from zslbench.tune.folds import seen_folds

HMDB51 = get_dataset("hmdb51")
UNSEEN = ("run", "eat", "wave")
SIDES = chosen(UNSEEN, validation=("climb", "walk"))


def opened(tmp_path, sides=SIDES, features=True, dataset="hmdb51", **more):
    """Return the families and notes of one split file."""
    path = write_splits(tmp_path / "att_splits.mat", sides, **more)
    given = str(write_features(tmp_path / "i3d.mat") if features is True else features)
    return read_families("gz", SplitSource((path,), dataset, features=given))


def refused(tmp_path, sides=SIDES, **options):
    with pytest.raises(ZslbenchError) as error:
        opened(tmp_path, sides, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def import_set(zslbench, name="i3d", **options):
    path = write_features(feature_path("hmdb51", name).parents[3] / f"{name}.mat", **options)
    code, _, err = zslbench("features", "import", "hmdb51", name, "--features", path, "--extractor", "e")
    assert code == 0, err
    return path


@pytest.mark.parametrize("v73", [False, True])
def test_classes_and_videos_of_each_side_are_those_of_the_rows(tmp_path, v73):
    path = write_splits(tmp_path / "att_splits.mat", SIDES, v73=v73)
    features = write_features(tmp_path / "i3d.mat", v73=v73)
    families, _ = read_families("gz", SplitSource((path,), "hmdb51", features=str(features)))
    (split,) = families[0].splits
    assert split.unseen == tuple(sorted(UNSEEN))
    assert split.seen == tuple(sorted(set(ORDER) - set(UNSEEN)))
    assert set(split.videos.own.train) == ids(SIDES["trainval_loc"])
    assert set(split.videos.own.test) == ids(SIDES["test_seen_loc"] + SIDES["test_unseen_loc"])


def test_the_validation_of_the_authors_is_a_family_of_its_own_and_its_classes_train_in_the_test(tmp_path):
    families, notes = opened(tmp_path)
    assert [family.name for family in families] == ["gz", "gz-validation"]
    assert {"climb", "walk"} <= set(families[0].splits[0].seen)
    (split,) = families[1].splits
    assert split.unseen == ("climb", "walk")
    assert split.seen == tuple(sorted(set(ORDER) - set(UNSEEN) - {"climb", "walk"}))
    assert set(split.videos.own.test) == ids(SIDES["val_loc"])
    assert any("gz-validation tests them instead" in note for note in notes)


@pytest.mark.parametrize("lacks", ["train_loc", "val_loc"])
def test_without_train_loc_or_val_loc_there_are_no_validation_classes_and_a_note(tmp_path, lacks):
    families, notes = opened(tmp_path, SIDES | {lacks: []})
    assert [family.name for family in families] == ["gz"]
    assert any("no validation classes" in note for note in notes)


def test_a_video_level_validation_has_no_classes_of_its_own(tmp_path):
    families, notes = opened(tmp_path, SIDES | {"val_loc": SIDES["test_seen_loc"], "train_loc": SIDES["trainval_loc"]})
    assert len(families) == 1
    assert any("those of val_loc are in train_loc too" in note for note in notes)


def test_files_in_folders_become_splits_in_the_order_of_their_numbers(zslbench, tmp_path):
    features = write_features(tmp_path / "hmdb51_i3d.mat")
    for i in range(1, 12):
        unseen = (ORDER[0], ORDER[1 + i % 6])  # 1 and 7 are the same
        write_splits(tmp_path / f"hmdb51_semantics/split_{i}/att_splits.mat", chosen(unseen))
    code, out, err = zslbench(
        "splits", "import", "gz", tmp_path / "hmdb51_semantics", "--dataset", "hmdb51", "--features", features
    )
    assert code == 0
    assert "hmdb51: 11 splits (6 distinct, 6/2)" in out
    assert "note: splits 6, 7, 8, 9, 10 repeat earlier ones of gz." in err
    family = HMDB51.family("gz")
    assert [set(split.unseen) for split in family.splits] == [{ORDER[0], ORDER[1 + i % 6]} for i in range(1, 12)]
    code, out, _ = zslbench("splits", "show", "hmdb51", "gz", "0")
    assert "held out of seen classes: 12, such as " in out
    shown = json.loads(zslbench("splits", "show", "hmdb51", "gz", "0", "--json")[1])
    assert set(shown["held out of seen classes"]) == ids(chosen((ORDER[0], ORDER[2]))["test_seen_loc"])
    assert "ok, imported" in zslbench("splits", "verify")[1]
    path = next((feature_path("hmdb51", "x").parents[2] / "splits").rglob("gz.json"))
    text = json.loads(path.read_text())
    text["lists"]["sides"][0] = text["lists"]["sides"][0].replace("2", "1", 1)
    path.write_text(json.dumps(text))
    assert "edited since its import" in zslbench("splits", "verify")[1]


def test_the_dataset_is_the_one_whose_classes_the_file_has(tmp_path):
    names = sorted(HMDB51.classes, reverse=True)
    labels = [names.index(name) + 1 for name in CLASSES]
    features = write_features(tmp_path / "f.mat", labels=np.array(labels, dtype=float))
    path = write_splits(tmp_path / "att_splits.mat", SIDES, allclasses_names=names)
    families, _ = read_families("gz", SplitSource((path,), features=str(features)))
    assert (families[0].dataset, families[0].splits[0].unseen) == ("hmdb51", tuple(sorted(UNSEEN)))
    assert "name it with --dataset" in refused(tmp_path, dataset=None)


def test_gzsl_tests_and_trains_on_the_videos_of_the_file(zslbench, tmp_path):
    features = import_set(zslbench)
    path = write_splits(tmp_path / "att_splits.mat", SIDES)
    assert zslbench("splits", "import", "gz", path, "--dataset", "hmdb51", "--features", features)[0] == 0
    given = {"method": "ridge", "dataset": "hmdb51", "features": "i3d", "family": "gz"}
    (cell,) = make_plan(make_experiment(given | {"protocol": "gzsl"})).cells
    assert cell.held_out is None
    task = build_task(cell)
    held_out = {v for v, label in zip(task.ids, task.labels, strict=True) if task.seen[label]}
    assert held_out == ids(SIDES["test_seen_loc"])
    assert set(task.ids) - held_out == ids(SIDES["test_unseen_loc"])
    assert {video for video, _ in task.training} == ids(SIDES["trainval_loc"])
    (cell,) = make_plan(make_experiment(given | {"protocol": "zsl"})).cells
    task = build_task(cell)
    assert (set(task.ids), len(task.train)) == (ids(SIDES["test_unseen_loc"]), len(SIDES["trainval_loc"]))


def test_a_run_is_verified_and_audited_by_the_lists_of_the_family(zslbench, tmp_path):
    features = import_set(zslbench)
    path = write_splits(tmp_path / "att_splits.mat", SIDES)
    zslbench("splits", "import", "gz", path, "--dataset", "hmdb51", "--features", features)
    results = tmp_path / "results"
    run = [
        "run",
        "--no-track",
        "--no-calibrate",
        "--method",
        "ridge",
        "--dataset",
        "hmdb51",
        "--features",
        "i3d",
        "--family",
        "gz",
    ]
    code, out, err = zslbench(*run, "--protocol", "gzsl", "--results", results)  # verified by the fixture
    assert code == 0, err
    assert "W10" not in zslbench("audit", "--results", results)[1]
    zslbench("splits", "remove", "hmdb51", "gz", "--yes")
    code, out, _ = zslbench("results", "verify", "--results", results)
    assert (code, "nothing wrong" in out) == (0, True), out
    assert "the splits gz of hmdb51 are not on this machine" in out


def test_the_lists_of_a_family_come_before_the_official_ones(tmp_path):
    features = official_features(tmp_path, clips=1)
    class_of = {v: features.dataset.classes[i] for v, i in zip(features.ids, features.labels.tolist(), strict=True)}
    unseen = set(features.dataset.classes[:50])
    seen = [video for video, name in class_of.items() if name not in unseen]
    held_out = [video for video in seen if video.endswith("g25_c01")]  # official list 1 trains on group 25
    test = (*held_out, *(video for video, name in class_of.items() if name in unseen))
    own = VideoList("own", tuple(set(seen) - set(held_out)), test, class_of=class_of)
    split = Split(tuple(set(features.dataset.classes) - unseen), tuple(unseen), videos=VideoChoice.of(own))
    write_imported([SplitFamily("own", "ucf101", (split,), "made")])
    given = {"method": "nearest-text", "dataset": "ucf101", "features": "official", "family": "own"}
    (cell,) = make_plan(make_experiment(given | {"protocol": "gzsl", "calibrate": False})).cells
    assert cell.held_out is None
    task = build_task(cell)
    assert {v for v, label in zip(task.ids, task.labels, strict=True) if task.seen[label]} == set(held_out)


def test_a_features_file_is_no_file_of_splits(tmp_path):
    with pytest.raises(ZslbenchError, match="has no trainval_loc or other rows of a split; .*--labels"):
        read_families("gz", SplitSource((write_features(tmp_path / "i3d.mat"),), "hmdb51"))


def test_tune_holds_out_seen_classes_and_looks_at_their_training_videos_alone(zslbench, tmp_path):
    features = import_set(zslbench)
    path = write_splits(tmp_path / "att_splits.mat", SIDES)
    assert zslbench("splits", "import", "gz", path, "--dataset", "hmdb51", "--features", features)[0] == 0
    given = {"method": "ridge", "dataset": "hmdb51", "features": "i3d", "family": "gz"}
    (cell,) = make_plan(make_experiment(given)).cells
    tested = set()
    for fold in seen_folds([cell], 2):
        task = split_task(cell, fold.split)
        assert set(task.ids) | set(task.train_ids) == ids(SIDES["trainval_loc"])
        assert {video.rsplit("_clip_")[0] for video in task.ids} == set(fold.split.unseen)
        tested |= set(task.ids)
    assert tested == ids(SIDES["trainval_loc"])
    search = ("tune", "ridge", "--dataset", "hmdb51", "--features", "i3d", "--family", "gz")
    code, out, err = zslbench(*search, "--trials", "2", "--folds", "2", "--no-track", "--results", tmp_path / "runs")
    assert code == 0, err
    assert "--family gz" in out


def test_every_video_of_the_file_and_no_other_is_tested_and_counted(zslbench, tmp_path):
    features = import_set(zslbench)
    path = write_splits(tmp_path / "att_splits.mat", SIDES)
    zslbench("splits", "import", "gz", path, "--dataset", "hmdb51", "--features", features)
    given = {"method": "majority", "dataset": "hmdb51", "features": "i3d", "family": "gz", "protocol": "gzsl"}
    (cell,) = make_plan(make_experiment(given | {"calibrate": False})).cells
    outcome = evaluate(cell, Report())
    total = {}
    for row in SIDES["test_seen_loc"] + SIDES["test_unseen_loc"]:
        total[CLASSES[row]] = total.get(CLASSES[row], 0) + 1
    counts = outcome.result.classes
    assert dict(zip(counts.names, counts.scored, strict=True)) == total
    assert outcome.result.expected == outcome.result.present == len(SIDES["test_unseen_loc"])


def test_the_digest_depends_on_the_held_out_videos_and_not_on_the_name_or_the_order_of_rows(tmp_path):
    (family, *_), _ = opened(tmp_path)
    path = write_splits(tmp_path / "other.mat", SIDES | {"trainval_loc": SIDES["trainval_loc"][::-1]})
    source = SplitSource((path,), "hmdb51", features=str(tmp_path / "i3d.mat"))
    assert read_families("other", source)[0][0].digest == family.digest
    moved = SIDES | {"test_seen_loc": SIDES["test_seen_loc"][1:], "trainval_loc": [*SIDES["trainval_loc"], 1]}
    assert SIDES["test_seen_loc"][0] == 1
    assert opened(tmp_path, moved)[0][0].digest != family.digest


@pytest.mark.parametrize("v73", [False, True])
def test_a_side_may_be_a_mask_of_the_rows(tmp_path, v73):
    masks = {name: np.isin(np.arange(len(IDS)), rows)[:, None] for name, rows in SIDES.items()}
    path = write_splits(tmp_path / "masks.mat", {}, v73=v73, **masks)
    ((family, *_), _) = opened(tmp_path)
    source = SplitSource((path,), "hmdb51", features=str(tmp_path / "i3d.mat"))
    assert read_families("masks", source)[0][0].digest == family.digest


def test_classes_alone_are_kept_if_all_videos_of_them_are_used(tmp_path):
    whole = chosen(UNSEEN)
    whole["trainval_loc"] = sorted(whole["trainval_loc"] + whole.pop("test_seen_loc"))
    (family, *_), _ = opened(tmp_path, whole)
    assert family.splits[0].videos is None
    whole["trainval_loc"].pop()
    (family, *_), _ = opened(tmp_path, whole)
    assert len(family.splits[0].videos.own.train) == len(whole["trainval_loc"])


def test_gzsl_refuses_a_family_without_held_out_videos_of_a_seen_class(zslbench, tmp_path):
    features = import_set(zslbench)
    path = write_splits(tmp_path / "att_splits.mat", SIDES | {"test_seen_loc": SIDES["test_seen_loc"][1:5]})
    zslbench("splits", "import", "gz", path, "--dataset", "hmdb51", "--features", features)
    with pytest.raises(ZslbenchError, match=r"gz holds out no videos of 1 of 5 seen classes .*--protocol zsl"):
        make_plan(
            make_experiment(
                {"method": "ridge", "dataset": "hmdb51", "features": "i3d", "family": "gz", "protocol": "gzsl"}
            )
        )


def test_a_feature_set_that_was_imported_says_the_rows(zslbench, tmp_path):
    import_set(zslbench)
    (family, *_), notes = opened(tmp_path, features="i3d")
    assert set(family.splits[0].videos.own.train) == ids(SIDES["trainval_loc"])
    assert notes[0] == "rows are those of hmdb51@i3d, 48 videos of 8 classes"


def test_features_that_lack_videos_of_the_list_are_named_before_the_run(zslbench, tmp_path):
    features = import_set(zslbench)
    path = write_splits(tmp_path / "att_splits.mat", SIDES)
    zslbench("splits", "import", "gz", path, "--dataset", "hmdb51", "--features", features)
    rows = range(len(IDS) - 8)
    for name, prefix in (("few", ""), ("other", "x")):
        with new_directory(feature_path("hmdb51", name)) as folder:
            writer = FeatureWriter(folder, 4, "float32")
            n = len(rows)
            writer.append([prefix + IDS[i] for i in rows], [CLASSES[i] for i in rows], [""] * n, [""] * n,
                          np.ones(n, int), np.eye(n, 4, dtype=np.float32))  # fmt: skip
            writer.finish(
                dataset="hmdb51", name=name, classes_digest=HMDB51.digest, kind="pooled", extractor="e", trained_on=[]
            )
    run = {"method": "ridge", "dataset": "hmdb51", "family": "gz", "protocol": "gzsl"}
    plan = make_plan(make_experiment(run | {"features": "few"}))
    assert any("hmdb51@few lacks 8 of the 48 videos of gz" in notice for notice in plan.notices), plan.notices
    with pytest.raises(ZslbenchError, match="none of the videos of hmdb51@other .such as xwave"):
        make_plan(make_experiment(run | {"features": "other"}))


def test_each_split_may_have_features_of_its_own_in_another_order(tmp_path):
    expected = []
    for i, unseen in enumerate([("run", "eat"), ("walk", "jump")], 1):
        folder = tmp_path / f"split_{i}"
        order = np.random.default_rng(i).permutation(len(IDS))
        place = np.argsort(order)
        sides = {name: [int(place[row]) for row in rows] for name, rows in chosen(unseen).items()}
        write_splits(folder / "att_splits.mat", sides)
        labels = np.array(LABELS, dtype=float)[order]
        write_features(folder / "i3d.mat", labels=labels, image_files=[PATHS[row] for row in order])
        expected.append(ids(chosen(unseen)["trainval_loc"]))
    families, _ = read_families("gz", SplitSource((tmp_path,), "hmdb51", features=str(tmp_path)))
    assert [set(split.videos.own.train) for split in families[0].splits] == expected
    write_features(tmp_path / "split_2" / "again.mat")
    with pytest.raises(ZslbenchError, match="has 2 MATLAB files of features"):
        read_families("gz", SplitSource((tmp_path,), "hmdb51", features=str(tmp_path)))


def test_a_folder_with_two_kinds_of_split_files_is_refused(tmp_path):
    for name in ("att_splits.mat", "w2v_splits.mat"):
        write_splits(tmp_path / "split_1" / name, SIDES)
    with pytest.raises(ZslbenchError, match="several kinds of split files"):
        read_families("gz", SplitSource((tmp_path,), "hmdb51"))


def changed(name, change):
    return SIDES | {name: change(list(SIDES[name]))}


@pytest.mark.parametrize(
    ("sides", "sentence"),
    [
        (changed("trainval_loc", lambda rows: [*rows, len(CLASSES)]), "has the row 49, but i3d.mat has 48 rows"),
        ({name: [row - 1 for row in rows] for name, rows in SIDES.items()}, "MATLAB counts rows from 1"),
        (changed("trainval_loc", lambda rows: [*rows, rows[0]]), "twice"),
        (changed("trainval_loc", lambda rows: [*rows, 2]), r"1 of 3 unseen classes \(run\) are in trainval_loc"),
        (changed("test_seen_loc", lambda rows: [*rows, 17]), "rows are in trainval_loc and in test_seen_loc"),
        (changed("val_loc", lambda rows: [*rows, 2]), r"val_loc has 1 classes that trainval_loc lacks \(run\)"),
        (changed("val_loc", lambda rows: [*rows, 1]), "rows are in train_loc and in val_loc"),
        (changed("test_unseen_loc", lambda rows: []), "has no test_unseen_loc"),
    ],
)
def test_rows_that_contradict_each_other_or_the_features_are_refused(tmp_path, sides, sentence):
    assert re.search(sentence, refused(tmp_path, sides))


def test_rows_of_features_in_another_order_are_refused_as_they_mix_the_classes(tmp_path):
    order = np.random.default_rng(0).permutation(len(IDS))
    labels = np.array(LABELS, dtype=float)[order]
    features = write_features(tmp_path / "f.mat", labels=labels, image_files=[PATHS[row] for row in order])
    assert "perhaps of other features, or counted from 0" in refused(tmp_path, features=features)


@pytest.mark.parametrize(
    ("features", "sentence"),
    [
        ({"labels": np.array(LABELS, dtype=float) - 1}, "labels from 0 to 7, and allclasses_names"),
        ({"labels": np.array(LABELS) * 2.0}, "count from 1 to 8"),
        ({"labels": np.array(LABELS) + 0.5}, "no whole numbers"),
        ({"labels": np.array(LABELS[1:], dtype=float)}, "47 labels, but 48 paths"),
        ({"labels": 9.0 - np.array(LABELS)}, "but the folder is"),
        ({"image_files": None}, "has no paths of its videos"),
    ],
)
def test_labels_that_contradict_the_class_list_or_the_folders_are_refused(tmp_path, features, sentence):
    assert sentence in refused(tmp_path, features=write_features(tmp_path / "i3d.mat", **features))


def test_class_names_in_another_order_than_the_folders_are_refused(tmp_path):
    assert "but the folder is" in refused(tmp_path, allclasses_names=list(ORDER[::-1]))
    assert "no classes of hmdb51: strange" in refused(tmp_path, allclasses_names=["strange", *ORDER[1:]])


def test_class_names_may_be_missing_where_the_paths_have_class_folders(tmp_path):
    path = write_splits(tmp_path / "att_splits.mat", SIDES, allclasses_names=np.zeros((0, 0)))
    source = SplitSource((path,), "hmdb51", features=str(write_features(tmp_path / "i3d.mat")))
    assert read_families("gz", source)[0][0].splits[0].unseen == tuple(sorted(UNSEEN))


def test_without_features_the_sentence_says_what_is_missing_and_a_file_that_has_all_needs_none(tmp_path):
    path = write_splits(tmp_path / "att_splits.mat", SIDES)
    with pytest.raises(ZslbenchError, match="rows of a features' file.*--features FILE.mat"):
        read_families("gz", SplitSource((path,), "hmdb51"))
    write_splits(path, SIDES, labels=np.array(LABELS, dtype=float), image_files=PATHS)
    assert read_families("gz", SplitSource((path,), "hmdb51"))[0][0].splits[0].unseen == tuple(sorted(UNSEEN))


def test_an_imported_family_is_read_again_as_it_was_written(zslbench, tmp_path):
    features = write_features(tmp_path / "i3d.mat")
    path = write_splits(tmp_path / "att_splits.mat", SIDES)
    zslbench("splits", "import", "gz", path, "--dataset", "hmdb51", "--features", features)
    (family, *_), _ = read_families("gz", SplitSource((path,), "hmdb51", features=str(features)))
    again = read_imported("hmdb51", "gz", HMDB51.classes)
    assert again.digest == family.digest
    assert again.splits[0].videos.own.train == family.splits[0].videos.own.train
