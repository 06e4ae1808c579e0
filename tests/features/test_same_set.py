"""An import says that another feature set has the same videos and features: releases repeat them per split."""

import numpy as np
import pytest
import scipy.io
from toy_features import IDS, LABELS, POOLED, RAGGED, TOY, bring, cells, write_csv

CLASSES = [TOY.resolve_class(name) for name in LABELS]
PATHS = np.array([f"/data/{name}/{video}.avi" for name, video in zip(CLASSES, IDS, strict=True)])
NUMBERS = np.array([TOY.classes.index(name) + 1.0 for name in CLASSES])


def released(path, order, features=POOLED):
    content = {"features": features[order].T, "labels": NUMBERS[order][:, None], "image_files": cells(PATHS[order])}
    scipy.io.savemat(path, content)
    return path


def about(notes):
    return [note for note in notes if "one of the two is enough" in note]


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 3, 0, 1, 4, 2]])
def test_the_features_of_a_second_split_are_named_as_the_first_ones(tmp_path, order):
    assert not about(bring(released(tmp_path / "split_1.mat", np.arange(6)), None, "one")[1])
    (note,) = about(bring(released(tmp_path / "split_2.mat", np.array(order)), None, "two")[1])
    assert note.startswith("these are the videos and features of toy@one")
    assert ("in another order" in note) == (order != sorted(order))


def test_one_value_or_one_video_that_differs_is_another_set(tmp_path):
    bring(released(tmp_path / "1.mat", np.arange(6)), None, "one")
    other = POOLED.copy()
    other[4, 2] += 1e-3
    assert not about(bring(released(tmp_path / "2.mat", np.arange(6), other), None, "two")[1])
    assert not about(bring(released(tmp_path / "3.mat", np.arange(5)), None, "three")[1])
    turned = POOLED[[1, 0, 2, 3, 4, 5]]  # the same values, of other videos
    assert not about(bring(released(tmp_path / "4.mat", np.arange(6), turned), None, "four")[1])


def test_sequences_are_compared_frame_by_frame(tmp_path):
    np.savez(tmp_path / "s.npz", features=np.concatenate(RAGGED), lengths=[len(frames) for frames in RAGGED])
    csv = write_csv(tmp_path / "v.csv")
    bring(tmp_path / "s.npz", csv, "one")
    assert len(about(bring(tmp_path / "s.npz", csv, "two")[1])) == 1
    np.savez(tmp_path / "s.npz", features=np.concatenate(RAGGED)[::-1], lengths=[len(frames) for frames in RAGGED])
    assert not about(bring(tmp_path / "s.npz", csv, "three")[1])
