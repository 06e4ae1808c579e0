"""Features as tables of text, Parquet, JSON and safetensors: of one row per video, or one file per video."""

import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from toy_features import IDS, LABELS, POOLED, RAGGED, TOY, bring, frames_of, refused, write

from zslbench.features.catalog import open_features

ORDER = [3, 0, 5, 1, 4, 2]  # of the rows in the file
NAMES = [IDS[i] for i in ORDER]
CLASSES = [TOY.resolve_class(name) for name in LABELS]


def check_right(arrays=POOLED):
    features = open_features(TOY, "x")
    for video, array in zip(IDS, arrays, strict=True):
        np.testing.assert_array_equal(frames_of(features)[video], np.atleast_2d(array))
    named = dict(zip(features.ids, (TOY.classes[label] for label in features.labels), strict=True))
    assert named == dict(zip(IDS, CLASSES, strict=True))


def rows(prefix="f"):
    table = pd.DataFrame(POOLED[ORDER], columns=[f"{prefix}{i}" for i in range(4)])
    table.insert(0, "video", NAMES)
    table["label"] = [CLASSES[i] for i in ORDER]
    return table


@pytest.mark.parametrize("prefix", ["f", "feat_", "", "rgb."])
@pytest.mark.parametrize("with_csv", [True, False])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table_of_one_row_per_video(tmp_path, csv, prefix, with_csv, suffix):
    path = tmp_path / f"f{suffix}"
    if suffix == ".parquet":
        rows(prefix).to_parquet(path)
    else:
        rows(prefix).to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    bring(path, csv if with_csv else None)
    check_right()


def test_a_parquet_file_with_a_column_of_lists(tmp_path, csv):
    pd.DataFrame({"id": NAMES, "feature": list(POOLED[ORDER])}).to_parquet(tmp_path / "f.parquet")
    bring(tmp_path / "f.parquet", csv)
    check_right()


def test_a_table_without_a_header(tmp_path, csv):
    rows().to_csv(tmp_path / "f.csv", index=False, header=False)
    bring(tmp_path / "f.csv", csv)
    check_right()


@pytest.mark.parametrize("lines", [True, False])
def test_json_of_features(tmp_path, csv, lines):
    if lines:
        objects = [{"video_id": v, "feature": POOLED[i].tolist()} for i, v in zip(ORDER, NAMES, strict=True)]
        (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, objects)))
    else:
        (tmp_path / "f.json").write_text(json.dumps({v: POOLED[i].tolist() for i, v in zip(ORDER, NAMES, strict=True)}))
    bring(tmp_path / ("f.jsonl" if lines else "f.json"), csv)
    check_right()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("by_video", [True, False])
def test_safetensors(tmp_path, csv, dtype, by_video):
    tensor = torch.from_numpy(POOLED).to(dtype)
    held = dict(zip(IDS, tensor.unbind(), strict=True)) if by_video else {"features": tensor}
    safetensors.torch.save_file({name: each.clone() for name, each in held.items()}, tmp_path / "f.safetensors")
    bring(tmp_path / "f.safetensors", csv)
    check_right(tensor.float().numpy())


FORMS = {
    ".csv": lambda path, array: np.savetxt(path, array, delimiter=","),
    ".tsv": lambda path, array: np.savetxt(path, array, delimiter="\t"),
    ".txt": np.savetxt,
    ".json": lambda path, array: path.write_text(json.dumps(array.tolist())),
    ".pt": lambda path, array: torch.save(torch.from_numpy(array), path),
    ".h5": lambda path, array: write(path, features=array),
    ".mat": lambda path, array: write(path, features=array),
}


@pytest.mark.parametrize("suffix", FORMS)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_folder_or_zip_of_one_file_per_video(tmp_path, csv, suffix, zipped):
    folder = tmp_path / "f"
    folder.mkdir()
    for video, array in zip(IDS, RAGGED, strict=True):
        FORMS[suffix](folder / f"{video}{suffix}", np.asarray(array, dtype=np.float64))
    if zipped:
        with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"inner/{file.name}")
    bring(tmp_path / "f.zip" if zipped else folder, csv)
    check_right(RAGGED)


def test_tables_of_frames_with_a_header_as_activitynet_has_them(tmp_path, csv):
    for video, array in zip(IDS, RAGGED, strict=True):
        pd.DataFrame(array, columns=[f"f{i}" for i in range(4)]).to_csv(tmp_path / f"{video}.csv", index_label="frame")
    csv.rename(tmp_path.parent / "list.csv")
    bring(tmp_path, tmp_path.parent / "list.csv")
    check_right(RAGGED)


def test_a_column_that_numbers_the_rows_is_refused(tmp_path, csv):
    table = rows().drop(columns=["video", "label"])
    table.iloc[np.argsort(ORDER)].reset_index(drop=True).to_csv(tmp_path / "f.csv", header=False)
    assert "f.csv: the column 0 (0, 1, 2, ...) numbers the rows" in refused(tmp_path / "f.csv", csv)


def test_a_column_of_features_with_text_is_refused(tmp_path, csv):
    table = rows().astype({"f2": object})
    table.loc[3, "f2"] = "n/a?"
    table.to_csv(tmp_path / "f.csv", index=False)
    assert "the column f2 has 'n/a?', which is no number" in refused(tmp_path / "f.csv", csv)


@pytest.mark.parametrize("lines", [["1 Archery", "2 Bowling"], ["Archery/a1.avi 1", "Bowling/b1.avi 2"]])
def test_a_list_is_no_table_of_features(tmp_path, csv, lines):
    (tmp_path / "list.txt").write_text("\n".join(lines))
    assert refused(tmp_path / "list.txt", csv)
    assert refused(tmp_path / "list.txt", None)


def test_ids_in_the_index_of_a_parquet_file_and_sequences_in_a_column(tmp_path, csv):
    rows().set_index("video").to_parquet(tmp_path / "f.parquet")
    bring(tmp_path / "f.parquet", csv)
    check_right()
    lists = [RAGGED[i].tolist() for i in ORDER]
    pd.DataFrame({"id": NAMES, "feature": lists}).to_parquet(tmp_path / "f.parquet")
    bring(tmp_path / "f.parquet", csv, replace=True)
    check_right(RAGGED)


BESIDE = {
    "names.npy": lambda path: np.save(path, NAMES),
    "f_paths.npy": lambda path: np.save(path, [f"/x/{v}.avi" for v in NAMES]),
    "f.json": lambda path: path.write_text(json.dumps(NAMES)),
    "f.csv": lambda path: pd.DataFrame({"video": NAMES}).to_csv(path),
    "f.pkl": lambda path: path.write_bytes(pickle.dumps(NAMES)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_files_beside_an_array_that_name_its_rows(tmp_path, csv, name):
    np.save(tmp_path / "f.npy", POOLED[ORDER])
    BESIDE[name](tmp_path / name)
    _, notes = bring(tmp_path / "f.npy", csv)
    assert any("another order" in note for note in notes)
    check_right()


def test_labels_beside_an_array_are_compared_and_a_folder_of_both_is_no_folder_of_videos(tmp_path, csv):
    csv = csv.rename(tmp_path.parent / "beside.csv")
    np.save(tmp_path / "f.npy", POOLED[ORDER])
    np.save(tmp_path / "mean.npy", np.arange(6))  # nothing says that it is a list
    np.save(tmp_path / "labels.npy", [CLASSES.index(CLASSES[i]) for i in ORDER])
    assert "contradictions between 'labels.npy' and beside.csv" in refused(tmp_path / "f.npy", csv)
    (tmp_path / "mean.npy").unlink()
    assert "has one file of features, f.npy, and lists of its rows; give that file itself" in refused(tmp_path, csv)


def test_rows_that_are_longer_than_the_header_are_not_shifted(tmp_path, csv):
    lines = rows().to_csv(index=False).splitlines()
    (tmp_path / "f.csv").write_text("\n".join([lines[0], *(line + ",5" for line in lines[1:])]))
    assert "f.csv cannot be read (Length of header" in refused(tmp_path / "f.csv", csv)
    (tmp_path / "f.csv").write_text("\n".join([lines[0], *(line + "," for line in lines[1:])]))
    bring(tmp_path / "f.csv", csv)
    check_right()


def test_a_table_without_rows_and_a_video_without_a_list_are_told(tmp_path, csv):
    (tmp_path / "f.csv").write_text("video,f0,f1\n")
    assert "f.csv cannot be read (it has no rows)" in refused(tmp_path / "f.csv", csv)
    pd.DataFrame({"id": NAMES, "feature": [None, *POOLED[ORDER][1:]]}).to_parquet(tmp_path / "f.parquet")
    assert f"1 video without a frame: {NAMES[0]}" in refused(tmp_path / "f.parquet", csv)
