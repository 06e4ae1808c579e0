"""Ways in which files of the field name their videos: with paths of frames, endings, attributes, rows in a dict."""

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from toy_features import (
    IDS,
    LABELS,
    POOLED,
    RAGGED,
    SEQUENCES,
    TOY,
    bring,
    cells,
    frames_of,
    refused,
    save,
    write,
    write_csv,
)

from zslbench import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.features._list_files import read_listed
from zslbench.features.catalog import open_features

ORDER = [3, 0, 5, 1, 4, 2]  # of the rows in the file
NAMES = [IDS[i] for i in ORDER]
CLASSES = [TOY.resolve_class(name) for name in LABELS]
UCF101 = get_dataset("ucf101")


def check_right(arrays=POOLED):
    features = open_features(TOY, "x")
    for video, array in zip(IDS, arrays, strict=True):
        np.testing.assert_array_equal(frames_of(features)[video], np.atleast_2d(array))
    named = dict(zip(features.ids, (TOY.classes[label] for label in features.labels), strict=True))
    assert named == dict(zip(IDS, CLASSES, strict=True))


@pytest.mark.parametrize(
    "spelling",
    [
        "/data/frames/{}/frame0001.jpg",
        "D:\\frames\\{}\\img_00001.png",
        "{}/rgb/000001.jpg",
        "feats/{}/i3d.npy",
        "{}_x264",
        "x/{}_i3d_rgb.npy",
        "{}/",
        "{}                 ",
    ],
)
def test_rows_are_matched_by_names_that_have_more_than_the_video(tmp_path, csv, spelling):
    names = [spelling.format(video) for video in NAMES]
    _, notes = bring(write(tmp_path / "f.npz", features=POOLED[ORDER], image_files=names), csv)
    assert any("another order" in note for note in notes)
    check_right()


def test_a_matrix_of_characters_has_spaces_that_belong_to_no_name(tmp_path):
    names = np.array([f"D:\\toy\\{c}\\{v}.avi" for v, c in zip(IDS, CLASSES, strict=True)])
    scipy.io.savemat(tmp_path / "f.mat", {"features": POOLED, "image_files": names})
    bring(tmp_path / "f.mat", None)
    check_right()


def test_paths_of_frames_in_class_folders_need_no_csv(tmp_path):
    paths = [f"/data/{c}/{v}/frame0001.jpg" for v, c in zip(IDS, CLASSES, strict=True)]
    scipy.io.savemat(tmp_path / "f.mat", {"features": POOLED.T, "image_files": cells(paths)})
    bring(tmp_path / "f.mat", None)
    check_right()


MORE_IDS = [f"{name[0].lower()}{i}" for name in TOY.classes for i in range(3)]
MORE_CSV = [f"{v},{name}" for v, name in zip(MORE_IDS, np.repeat(TOY.classes, 3), strict=True)]
MORE = np.random.default_rng(1).normal(size=(12, 4))


@pytest.mark.parametrize("name", ["gnd", "arr_1", "train_labels", "video_label", "class_idx", "anything"])
def test_numbers_that_go_with_the_classes_are_labels_whatever_they_are_called(tmp_path, name):
    csv = write_csv(tmp_path / "v.csv", MORE_CSV, "video,class")
    numbers = np.repeat(np.arange(4), 3)
    _, notes = bring(write(tmp_path / "f.npz", features=MORE, **{name: numbers}), csv)
    assert not any("not used" in note for note in notes)
    wrong = np.random.default_rng(0).permutation(numbers)
    with pytest.raises(ZslbenchError, match=f"between '{name}' and v.csv"):
        bring(write(tmp_path / "f.npz", features=MORE, **{name: wrong}), csv, name="y")
    wrong = numbers.copy()
    wrong[0] = 3
    with pytest.raises(ZslbenchError, match=f"between '{name}' and v.csv"):
        bring(write(tmp_path / "f.npz", features=MORE, **{name: wrong}), csv, name="y")


@pytest.mark.parametrize("column", [np.tile([1, 2, 3, 4], 3), np.tile([1, 2, 3], 4), np.arange(12), np.arange(12) / 7])
def test_other_numbers_are_no_labels(tmp_path, column):
    csv = write_csv(tmp_path / "v.csv", MORE_CSV, "video,class")
    column = np.where(np.arange(12) == 0, 9, column)  # numbers that occur as often as classes do would be labels
    _, notes = bring(write(tmp_path / "f.npz", features=MORE, group=column), csv)
    assert any("not used: group" in note for note in notes)


@pytest.mark.parametrize("layout", ["datasets", "groups", "rows", "file"])
@pytest.mark.parametrize("with_csv", [True, False])
def test_attributes_of_hdf5_name_the_videos(tmp_path, csv, layout, with_csv):
    names = [f"{CLASSES[i]}/{IDS[i]}.avi" for i in ORDER]
    with h5py.File(tmp_path / "f.h5", "w") as file:
        if layout in ("rows", "file"):
            rows = file.create_dataset("features", data=POOLED[ORDER])
            (rows if layout == "rows" else file).attrs["video_ids"] = names
        for place, i in enumerate(ORDER) if layout in ("datasets", "groups") else ():
            item = file.create_dataset(f"clip_{place:03}", data=RAGGED[i]) if layout == "datasets" else (
                file.create_group(f"{place:03}")
            )  # fmt: skip
            if layout == "groups":
                item["feat"] = RAGGED[i]
            item.attrs["video_id"], item.attrs["label"], item.attrs["source"] = names[place], 3, "x"
    bring(tmp_path / "f.h5", csv if with_csv else None)
    check_right(POOLED if layout in ("rows", "file") else RAGGED)


def test_names_of_hdf5_may_begin_with_a_hash(tmp_path):
    ids = [f"#{i}_a" for i in range(6)]
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for video, array in zip(ids, RAGGED, strict=True):
            file[video] = array
    bring(tmp_path / "f.h5", write_csv(tmp_path / "v.csv", [f"{v},YoYo" for v in ids], "video,class"))
    assert sorted(open_features(TOY, "x").ids) == ids


@pytest.mark.parametrize("positions", [dict(zip(NAMES, range(6), strict=True)), dict(enumerate(NAMES))], ids=str)
def test_a_dict_of_rows_names_the_videos(tmp_path, csv, positions):
    torch.save({"features": torch.from_numpy(POOLED[ORDER]), "index": positions}, tmp_path / "f.pt")
    bring(tmp_path / "f.pt", csv)
    check_right()


def test_crops_that_come_first_are_not_averaged_as_frames(tmp_path, csv):
    arrays = [np.stack([array + i for i in range(3)]) for array in RAGGED]
    path = write(tmp_path / "f.npz", **dict(zip(IDS, arrays, strict=True)))
    assert "the first axis is always 3 and the second one varies, as in (crops, T, D)" in refused(
        path, csv, crops="mean"
    )
    bring(path, csv, crops="mean", axes="ctd")
    got = frames_of(open_features(TOY, "x"))
    for video, array in zip(IDS, RAGGED, strict=True):
        np.testing.assert_allclose(got[video], array + 1, rtol=1e-5)


def test_a_file_that_lacks_its_last_bytes_is_named_before_values_are_read(tmp_path, csv):
    for video, array in zip(IDS, SEQUENCES, strict=True):
        save(array, tmp_path / f"{video}.npy")
    whole = (tmp_path / "b1.npy").read_bytes()
    (tmp_path / "b1.npy").write_bytes(whole[:-1])
    (tmp_path / "videos.csv").rename(tmp_path.parent / "videos.csv")
    assert "b1.npy cannot be read (its header says (3, 4), 48 bytes, but it has 47)" in refused(
        tmp_path, tmp_path.parent / "videos.csv"
    )


@pytest.mark.parametrize(
    "line",
    ["D:\\UCF-101\\YoYo\\v_YoYo_g01_c01.avi 100", "v_YoYo_g01_c01.avi 1 120 100", "x/v_YoYo_g01_c01 1 120 100",
     "/frames/v_YoYo_g01_c01/ 120 100", "YoYo\\v_YoYo_g01_c01.avi,1,120,100"],
)  # fmt: skip
def test_lines_of_lists_with_paths_of_windows_folders_and_more_numbers(tmp_path, line):
    (tmp_path / "list.txt").write_text(f"{line}\n")
    table = read_listed(UCF101, [tmp_path / "list.txt"])
    assert (table.ids, table.classes) == (["v_YoYo_g01_c01"], ["YoYo"])


@pytest.mark.parametrize("file", ["f.npz", "f.csv"])
@pytest.mark.parametrize("spelling", ["{}", "{:05}"])
def test_numbers_are_ids_where_all_ids_are_numbers(tmp_path, file, spelling):
    ids = [spelling.format(10 + i) for i in range(6)]
    csv = write_csv(tmp_path / "v.csv", [f"{v},{c}" for v, c in zip(ids, CLASSES, strict=True)], "video,class")
    if file == "f.npz":
        np.savez(tmp_path / file, features=POOLED[ORDER], index=10 + np.array(ORDER))
    else:
        lines = [",".join([ids[i], *map(repr, POOLED[i].astype(float).tolist())]) for i in ORDER]
        (tmp_path / file).write_text("\n".join(["video,f0,f1,f2,f3", *lines]))
    bring(tmp_path / file, csv)
    got = frames_of(open_features(TOY, "x"))
    for video, array in zip(ids, POOLED, strict=True):
        np.testing.assert_array_equal(got[video], array[None])
