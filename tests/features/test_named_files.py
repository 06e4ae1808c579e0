"""A feature file that names its videos and classes needs no list, and wrong orders of classes are refused."""

import numpy as np
import pytest
import scipy.io
from toy_features import FILES, IDS, LABELS, POOLED, SEQUENCES, TOY, bring, cells, refused, save, write

from zslbench.datasets.class_lists import CANONICAL
from zslbench.errors import ZslbenchError
from zslbench.features.catalog import open_features
from zslbench.features.feature_set import feature_path
from zslbench.features.importing import FeatureFiles, preview_import

CLASSES = [TOY.resolve_class(name) for name in LABELS]
FOLDERS = [f"/data/toy/{name}/{video}.avi" for name, video in zip(CLASSES, IDS, strict=True)]
FLAT = [f"/data/{video}.avi" for video in IDS]
OTHER = ("YoYo", "CleanAndJerk", "Archery", "Bowling")  # another order of the classes


def numbers(order, first=1):
    return np.array([order.index(name) + float(first) for name in CLASSES])[:, None]


def check():
    features = open_features(TOY, "x")
    assert features.ids == IDS
    assert [TOY.classes[label] for label in features.labels] == CLASSES
    np.testing.assert_array_equal(features.store.pooled(), POOLED)


def literature(path, files, labels):
    """What the GZSL literature releases: features (D, n), labels (n, 1), a cell array of paths."""
    scipy.io.savemat(path, {"features": POOLED.T, "labels": labels, "image_files": cells(files)})
    return path


def splits(path, order):
    scipy.io.savemat(path, {"allclasses_names": cells(list(order)), "trainval_loc": np.ones((3, 1))})
    return path


def test_classes_come_from_the_folders_of_the_paths(tmp_path):
    bring(literature(tmp_path / "f.mat", FOLDERS, numbers(TOY.classes)), None)
    check()


@pytest.mark.parametrize("files", [FOLDERS, FLAT], ids=["folders", "no folders"])
def test_numbers_are_read_by_the_class_list_of_a_splits_file(tmp_path, files):
    path = literature(tmp_path / "f.mat", files, numbers(OTHER))
    bring(path, None, class_list=splits(tmp_path / "att_splits.mat", OTHER))
    check()


def test_numbers_are_read_by_the_order_of_the_dataset_only_if_the_user_says_so(tmp_path):
    path = literature(tmp_path / "f.mat", FLAT, numbers(TOY.classes))
    assert "name the file of class numbers with --class-list" in refused(path, None)
    bring(path, None, class_list=CANONICAL)
    check()


@pytest.mark.parametrize("canonical", [True, False])
def test_numbers_in_another_order_than_the_folders_are_refused(tmp_path, canonical):
    order = OTHER if canonical else TOY.classes
    path = literature(tmp_path / "f.mat", FOLDERS, numbers(order))
    said = refused(path, None, class_list=CANONICAL if canonical else splits(tmp_path / "s.mat", OTHER))
    assert "f.mat: 6 wrong rows: row 1: the number" in said
    assert "but the folder is Archery" in said


def test_numbers_that_do_not_go_with_the_folders_are_refused_without_a_class_list(tmp_path):
    wrong = numbers(TOY.classes)
    wrong[1] = 1
    said = refused(literature(tmp_path / "f.mat", FOLDERS, wrong), None)
    assert "contradiction between 'labels'" in said


@pytest.mark.parametrize("file", FILES)
def test_names_and_classes_in_every_format(tmp_path, file):
    bring(write(tmp_path / file, features=POOLED, names=FLAT, labels=CLASSES), None)
    check()


@pytest.mark.parametrize("name", ["f.txt", "keys.txt", "f_names.txt"])
def test_a_list_beside_an_npy_file_names_its_rows(tmp_path, csv, name):
    (tmp_path / name).write_text("\n".join(FOLDERS) + "\n")
    bring(save(POOLED, tmp_path / "f.npy"), None)
    check()
    (tmp_path / name).write_text("\n".join(FOLDERS[::-1]) + "\n")
    bring(save(POOLED[::-1], tmp_path / "f.npy"), csv, replace=True)
    check()


def test_a_list_of_another_length_beside_an_npy_file_is_no_list_of_its_rows(tmp_path, csv):
    (tmp_path / "names.txt").write_text("Archery\nBowling\n")
    bring(save(POOLED, tmp_path / "f.npy"), csv)
    check()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"features": POOLED, "labels": np.arange(6)}, "does not name its videos; give a list"),
        ({"features": POOLED, "names": [*FOLDERS, "Archery/z.avi"]}, "'names' has another number of names"),
        ({"features": POOLED, "names": [f"Nothing/{v}" for v in IDS]}, "has no label, no folder of a class"),
    ],
)
def test_files_that_do_not_say_enough_are_refused(tmp_path, arrays, message):
    assert message in refused(write(tmp_path / "f.npz", **arrays), None)


# --- without importing ------------------------------------------------------------------------------------------------


def test_a_preview_shows_what_would_be_read_and_writes_nothing(tmp_path, csv):
    path = save(SEQUENCES.transpose(0, 2, 1), tmp_path / "f.npy")
    shown, notes = preview_import(TOY, FeatureFiles(path, (csv,), axes="ndt"))
    assert shown == {
        "videos": "6, of 3 of 4 classes",
        "frames": "18 (3 to 3 per video)",
        "values": "4 x float32, stored as float32",
        "axes": "f (6, 4, 3) as ndt",
        "first videos": "a1 (Archery), b1 (Bowling), a2 (Archery)",
        "official list 1": "3 train, 3 test",
    }
    assert not feature_path("toy", "x").parent.exists()
    assert notes
    with pytest.raises(ZslbenchError, match="contains 5 videos"):
        preview_import(TOY, FeatureFiles(save(POOLED[:5], path), (csv,)))


def test_the_command_previews(zslbench, tmp_path, data_root):
    np.save(tmp_path / "f.npy", POOLED)
    (tmp_path / "v.csv").write_text("video,class\n" + "".join(f"{v},YoYo\n" for v in IDS))
    given = ["--features", tmp_path / "f.npy", "--videos", tmp_path / "v.csv", "--extractor", "e", "--dry-run"]
    code, out, err = zslbench("features", "import", "ucf101", "x", *given)
    assert (code, err) == (0, "")
    assert "first videos     a1 (YoYo), b1 (YoYo), a2 (YoYo)" in out
    assert "Nothing was imported as ucf101@x" in out
    assert not data_root.exists()
