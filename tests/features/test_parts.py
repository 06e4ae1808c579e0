"""Arrays that are parts of the features: sides, batches, clips and classes; and what a refusal says to do."""

import pickle

import numpy as np
import pytest
import torch
from toy_features import IDS, POOLED, RAGGED, SEQUENCES, TOY, bring, frames_of, refused, save, write, write_csv

from zslbench import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features._list_files import read_listed
from zslbench.features.catalog import open_features
from zslbench.features.importing import FeatureFiles, preview_import

UCF101 = get_dataset("ucf101")
VIDEOS = ["v_YoYo_g01_c01", "v_Archery_g02_c03"]


def check_right(arrays=POOLED):
    features = open_features(TOY, "x")
    for video, array in zip(IDS, arrays, strict=True):
        np.testing.assert_array_equal(frames_of(features)[video], np.atleast_2d(array))


@pytest.mark.parametrize("names", ["{side}_{name}", "{name}_{side}", "{side}/{name}"])
def test_sides_that_name_their_rows_are_joined(tmp_path, csv, names):
    parts = {"test": slice(0, 2), "train": slice(2, 6)}
    arrays = {names.format(side=side, name="x"): POOLED[at] for side, at in parts.items()}
    arrays |= {names.format(side=side, name="ids"): IDS[at] for side, at in parts.items()}
    bring(write(tmp_path / "f.h5", **arrays), csv)
    check_right()


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        ({"x_train": POOLED[:4], "x_test": POOLED[4:]}, "2 arrays (x_train, x_test, ...) with 6 rows in all"),
        ({"Archery": POOLED[:3], "YoYo": POOLED[3:]}, "with 6 rows in all; save them as one array 'features'"),
        ([POOLED[:4], POOLED[4:]], "is a list of 2 arrays with 6 rows in all, as there are videos; join them"),
        ({v: [a, a[:1]] for v, a in zip(IDS, SEQUENCES, strict=True)}, "several arrays per video, of the shapes"),
        (
            {"names": IDS, "features": [[a, a[:1]] for a in SEQUENCES]},
            "several arrays per video, of the shapes (3, 4), (1, 4), ...; join them into one array (T, D) per video",
        ),
    ],
    ids=["sides", "classes", "batches", "clips by video", "clips in a list"],
)  # fmt: skip
def test_parts_without_names_are_refused_with_what_to_do(tmp_path, csv, held, sentence):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(held))
    assert sentence in refused(tmp_path / "f.pkl", csv)


@pytest.mark.parametrize("labels", [torch.arange(6), torch.tensor([0, 1, 0, 2, 0, 2])])
def test_a_pair_of_features_and_labels(tmp_path, csv, labels):
    torch.save((torch.from_numpy(POOLED), labels), tmp_path / "f.pt")
    bring(tmp_path / "f.pt", csv)
    check_right()


@pytest.mark.parametrize("sparse", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr])
def test_sparse_tensors(tmp_path, csv, sparse):
    array = np.where(POOLED > 0, POOLED, 0)
    torch.save({"features": sparse(torch.from_numpy(array))}, tmp_path / "f.pt")
    bring(tmp_path / "f.pt", csv)
    check_right(array)


def test_axes_need_no_letter_for_those_of_length_1(tmp_path, csv):
    arrays = {video: array.T[None, :, :, None] for video, array in zip(IDS, RAGGED, strict=True)}
    bring(write(tmp_path / "f.npz", **arrays), csv, axes="dt")
    check_right(RAGGED)


def test_clips_of_kinetics_are_found_by_their_videos(tmp_path):
    ids = [f"{letter}0wR5jVB-WP" for letter in "abcdef"]
    for i, (video, array) in enumerate(zip(ids, RAGGED, strict=True)):
        save(array, tmp_path / f"{video}_{i:06}_{i + 10:06}.npy")
    csv = write_csv(tmp_path.parent / "k.csv", [f"{v},YoYo" for v in ids], "video,class")
    bring(tmp_path, csv)
    assert open_features(TOY, "x").ids == ids


def test_ids_lose_what_an_extractor_appended(tmp_path):
    for video in VIDEOS:
        save(np.ones((2, 3)), tmp_path / f"{video}_x264.npy")
    shown, _ = preview_import(UCF101, FeatureFiles(tmp_path))
    assert shown["first videos"] == "v_Archery_g02_c03 (Archery), v_YoYo_g01_c01 (YoYo)"


def test_what_is_missing_may_be_left_out_of_the_list(tmp_path, csv):
    path = write(tmp_path / "f.npz", **dict(zip(IDS[:5], RAGGED, strict=False)))
    assert "Remedy: extract them, or leave them out of videos.csv" in refused(path, csv)


@pytest.mark.parametrize(
    "lines",
    [
        ["video;class", "{};YoYo", "{};Archery"],
        ["video\tclass", "{}\tYoYo", "{}\tArchery"],
        ["Video,Class", "{},YoYo", "{},Archery"],
        ["video_id,label", "{}.avi,YoYo", "{}.avi,Archery"],
        ["clip_name,clip_path,label", "{},/train/YoYo/x.avi,YoYo", "{},/train/Archery/y.avi,Archery"],
        ["label;path", "YoYo;D:\\x\\{}.avi", "Archery;D:\\y\\{}.avi"],
    ],
)
def test_headers_of_lists(tmp_path, lines):
    (tmp_path / "v.csv").write_text("\n".join([lines[0], lines[1].format(VIDEOS[0]), lines[2].format(VIDEOS[1])]))
    table = read_listed(UCF101, [tmp_path / "v.csv"])
    assert (table.ids, table.classes) == (VIDEOS, ["YoYo", "Archery"])


def test_numbers_of_classes_in_a_csv_are_read_as_the_refusal_says(tmp_path):
    (tmp_path / "v.csv").write_text("video,class\na,1\nb,101\n")
    names = tmp_path / "classInd.txt"
    names.write_text("".join(f"{i} {name}\n" for i, name in enumerate(UCF101.classes, 1)))
    with pytest.raises(ZslbenchError, match="call that column 'label', and name .* --class-list"):
        read_listed(UCF101, [tmp_path / "v.csv"])
    (tmp_path / "v.csv").write_text("video,label\na,1\nb,101\n")
    table = read_listed(UCF101, [tmp_path / "v.csv"], class_list=names)
    assert table.classes == [UCF101.classes[0], UCF101.classes[100]]


@pytest.mark.parametrize("name", ["v.json", "v.pkl", "v.parquet", "v.xlsx", "v.npy"])
def test_files_that_are_no_text_are_no_lists(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ZslbenchError, match="is no list of text; write a CSV with the columns video and class"):
        read_listed(UCF101, [tmp_path / name])
