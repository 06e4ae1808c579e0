"""A feature file that names its videos is matched by name, and one that contradicts the CSV is refused."""

import numpy as np
import pytest
from toy_features import FILES, IDS, LABELS, POOLED, SEQUENCES, TOY, bring, frames_of, refused, save, write, write_csv

from zslbench.features.catalog import open_features

pytestmark = pytest.mark.versions

SHUFFLED = np.array([3, 0, 5, 1, 4, 2])
NAMES = [IDS[i] for i in SHUFFLED]
CLASSES = [TOY.resolve_class(LABELS[i]) for i in SHUFFLED]
NUMBERS = np.array([TOY.classes.index(name) for name in CLASSES])


def check_right(features):
    assert features.ids == IDS  # the order of the CSV, whatever that of the file
    for i, video in enumerate(IDS):
        np.testing.assert_array_equal(frames_of(features)[video], POOLED[i : i + 1])
    labels = {video: TOY.classes[label] for video, label in zip(features.ids, features.labels, strict=True)}
    assert labels == {video: TOY.resolve_class(name) for video, name in zip(IDS, LABELS, strict=True)}
    assert dict(zip(features.ids, features.groups, strict=True)) == {video: f"g{i}" for i, video in enumerate(IDS)}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("key", ["names", "video_ids", "image_files", "paths"])
@pytest.mark.parametrize("spelling", ["{}", "{}.avi", "/data/UCF101/Archery/{}.avi", "D:\\videos\\{}.mp4"])
def test_rows_in_another_order_are_matched_by_the_names_in_the_file(tmp_path, csv, file, key, spelling):
    names = [spelling.format(video) for video in NAMES]
    path = write(tmp_path / file, features=POOLED[SHUFFLED], **{key: names}, mean=np.arange(3.0))
    _, notes = bring(path, csv)
    check_right(open_features(TOY, "x"))
    assert any(f"another order than videos.csv: they were matched by its {key!r}" in note for note in notes)
    assert any("not used: mean" in note for note in notes)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("labels", [NUMBERS, NUMBERS + 1.0, (NUMBERS + 1)[:, None], CLASSES], ids=str)
def test_rows_whose_labels_contradict_the_csv_are_refused(tmp_path, csv, file, labels):
    said = refused(write(tmp_path / file, features=POOLED[SHUFFLED], labels=labels), csv)
    assert "between 'labels' and videos.csv" in said
    assert "another order" in said
    right = np.argsort(SHUFFLED)
    in_order = labels[right] if isinstance(labels, np.ndarray) else [labels[i] for i in right]
    _, notes = bring(write(tmp_path / file, features=POOLED, labels=in_order), csv)
    assert not any("not used" in note for note in notes)


def test_labels_are_compared_with_the_rows_that_names_matched(tmp_path, csv):
    path = write(tmp_path / "f.npz", features=POOLED[SHUFFLED], names=NAMES, y=NUMBERS)
    bring(path, csv)
    check_right(open_features(TOY, "x"))
    wrong = NUMBERS.copy()
    wrong[0] = 3
    said = refused_again(write(path, features=POOLED[SHUFFLED], names=NAMES, y=wrong), csv)
    assert "1 contradiction between 'y' and videos.csv: rows 1 and 3 are 3 and 2 there" in said
    assert "the classes differ" in said


def refused_again(path, csv, **options):
    """Return the sentence of an import that is refused while another feature set exists."""
    with pytest.raises(Exception, match="Remedy|remove|choose") as error:
        bring(path, csv, replace=True, **options)
    return str(error.value)


def test_two_lists_of_names_that_contradict_each_other_are_refused(tmp_path, csv):
    path = write(tmp_path / "f.npz", features=POOLED, names=IDS, paths=[f"{v}.avi" for v in NAMES])
    assert "'names' and 'paths' contradict each other, first in row 1" in refused(path, csv)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            [*IDS[:5], "zz"],
            "1 missing video: c2 (line 7). Remedy: compare with 'names', of whose 6 strings (a1, b1, a2 and 3 more) "
            "5 are ids of videos.csv",
        ),
        ([*IDS[:5], IDS[0]], "1 video of 'names' twice: a1 is in rows 1 and 6"),
        ([*IDS, "zz"], "1 video in 'names' that the CSV does not list: zz"),
    ],
)
def test_names_that_are_missing_twice_or_extra_are_refused(tmp_path, csv, names, message):
    features = np.concatenate([POOLED, POOLED])[: len(names)]
    assert message in refused(write(tmp_path / "f.npz", features=features, names=names), csv)


def test_strings_that_are_no_ids_are_named_in_a_note(tmp_path, csv):
    path = write(tmp_path / "f.npz", features=POOLED, urls=[f"http://{i}" for i in range(6)], fps=np.ones(6))
    _, notes = bring(path, csv)
    assert any("not used: fps, urls ('http://0', ...: no ids of the CSV)" in note for note in notes)


@pytest.mark.parametrize("names", [[f"a{i}" for i in range(5, 11)], [f"Archery/{i}.avi" for i in range(6)]])
def test_ids_of_other_videos_are_refused(tmp_path, csv, names):
    said = refused(write(tmp_path / "f.npz", features=POOLED, files=names), csv)
    assert "look like ids, but none is one of videos.csv (a1, b1 and 4 more)" in said


def test_rows_in_another_order_are_stored_in_that_of_the_csv(tmp_path, csv):
    wanted, _ = bring(save(SEQUENCES, tmp_path / "f.npy"), csv)
    path = write(tmp_path / "f.npz", features=SEQUENCES[SHUFFLED], names=NAMES)
    assert bring(path, csv, replace=True)[0].digest == wanted.digest


def test_a_kinetics_clip_is_matched_with_its_times(tmp_path):
    ids = [f"{'abcdef'[i]}0wR5jVB-WP" for i in range(6)]
    csv = write_csv(tmp_path / "v.csv", [f"{v},YoYo" for v in ids], "video,class")
    names = [f"{ids[i]}_000010_000020.mp4" for i in SHUFFLED]
    bring(write(tmp_path / "f.npz", features=POOLED[SHUFFLED], names=names), csv)
    np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))[ids[0]], POOLED[:1])


def test_ids_that_only_their_folders_distinguish_are_matched_with_folders(tmp_path):
    ids = ["a/1", "a/2", "b/1", "b/2", "c/1", "c/2"]
    csv = write_csv(tmp_path / "v.csv", [f"{v},YoYo" for v in ids], "video,class")
    path = write(tmp_path / "f.npz", features=POOLED[SHUFFLED], names=[f"{ids[i]}.avi" for i in SHUFFLED])
    bring(path, csv)
    for i, video in enumerate(ids):
        np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))[video], POOLED[i : i + 1])


# --- one array per video ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["f.npz", "f.h5", "f.pt", "f"])
@pytest.mark.parametrize(
    "layout", ["{}", "{}.avi", "Archery/{}", "Archery/{}.avi", "{}/rgb", "{}/i3d_features/rgb", "features/{}_rgb"]
)
def test_arrays_that_are_named_by_a_spelling_of_the_id(tmp_path, csv, file, layout):
    arrays = {layout.format(video): POOLED[i] for i, video in enumerate(IDS)}
    if file == "f":
        for name, array in arrays.items():
            (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "f" / f"{name}.npy", array)
    else:
        write(tmp_path / file, **arrays)
    bring(tmp_path / file, csv)
    check_right(open_features(TOY, "x"))


@pytest.mark.parametrize("layout", ["{}/{}", "{}_{}", "{}/i3d/{}", "{}.{}"])
def test_one_of_several_arrays_per_video_is_chosen_by_key(tmp_path, csv, layout):
    arrays = {layout.format(v, "rgb"): POOLED[i] for i, v in enumerate(IDS)}
    arrays |= {layout.format(v, "flow"): -POOLED[i] for i, v in enumerate(IDS)}
    path = write(tmp_path / "f.h5", **arrays)
    assert "several arrays per video" in refused(path, csv)
    bring(path, csv, key="rgb")
    check_right(open_features(TOY, "x"))


def test_times_and_rates_beside_the_features_are_left_out(tmp_path, csv):
    folder = tmp_path / "f"
    folder.mkdir()
    for video, frames in zip(IDS, SEQUENCES, strict=True):
        np.save(folder / f"{video}_rgb.npy", frames)
        np.save(folder / f"{video}_fps.npy", np.array(25.0))
        np.save(folder / f"{video}_timestamps_ms.npy", np.arange(3.0))
    _, notes = bring(folder, csv)
    np.testing.assert_array_equal(frames_of(open_features(TOY, "x"))["a2"], SEQUENCES[2])
    assert any("not used" in note and "a1_fps" in note for note in notes)


def test_an_empty_array_of_a_short_video_is_named(tmp_path, csv):
    folder = tmp_path / "f"
    folder.mkdir()
    for video, frames in zip(IDS, SEQUENCES, strict=True):
        save(frames if video != "b1" else np.empty(0, np.float32), folder / f"{video}.npy")
    assert "1 video without a frame: b1 (line 3). Remedy: " in refused(folder, csv)
