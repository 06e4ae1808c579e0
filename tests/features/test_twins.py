"""Copies of videos: what is found, against a plain computation, and what an import says of it."""

import numpy as np
import pytest
from audited import unrelated, written
from toy_features import IDS, POOLED, bring, save

from zslbench.datasets.catalog import get_dataset
from zslbench.features import twins as module
from zslbench.features.catalog import derive_features
from zslbench.features.twins import COPY, MOST_BY_CHANCE, NEAR_COPY, find_twins, search, twin_notes
from zslbench.videos import FrameStore, Videos, storage


def store_of(x):
    return storage(Videos.from_arrays(x)).store


def plainly(x, labels, least=NEAR_COPY):
    """Return the pairs of different classes, by one loop over all cosines."""
    y = x - x.mean(axis=0)
    y = y / np.linalg.norm(y, axis=1, keepdims=True)
    cosines = y @ y.T
    n = range(len(x))
    return {(i, j) for i in n for j in n if i < j and labels[i] != labels[j] and cosines[i, j] >= least}


@pytest.mark.parametrize("dim", [20, 300])  # below and above the number of values that videos are compared by first
def test_near_pairs_are_those_of_a_plain_computation(monkeypatch, dim):
    monkeypatch.setattr(module, "_ROWS", 17)
    monkeypatch.setattr(module, "_COLUMNS", 23)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(120, dim)).astype(np.float32)
    labels = rng.integers(0, 5, size=120)
    for i in range(0, 60, 2):  # from nearly equal to clearly different
        x[i + 1] = x[i] + 0.004 * (i + 1) * rng.normal(size=dim)
    found = search(store_of(x), labels)
    expected = plainly(x, labels)
    assert set(map(tuple, found.pairs.tolist())) == expected
    assert len(plainly(x, labels, COPY)) == found.certain.sum()
    assert 0 < found.certain.sum() < len(expected) < 29  # some copies, some near pairs, and some that are neither
    assert found.complete


def test_pairs_between_two_stores_are_those_of_a_plain_computation():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(40, 30)).astype(np.float32), rng.normal(size=(50, 30)).astype(np.float32)
    b[7], b[8] = a[3], a[4] + 0.01
    b[:2] = b[2]  # copies inside one store are not looked for
    found = search(store_of(a), np.arange(40), store_of(b))
    test, train = np.arange(90) < 40, np.arange(90) >= 40
    assert np.flatnonzero(found.same(test, train)).tolist() == [3]
    assert np.flatnonzero(found.near(test, train, found.certain)).tolist() == [4]
    assert found.partner(3, train) == (47, None)
    assert found.partner(4, train)[0] == 48


def test_the_same_frames_in_another_order_are_a_copy():
    videos = unrelated()
    videos.append(("shuffled", "talk", videos[0][2][::-1]))
    found = find_twins(written(videos))
    assert found.pairs[found.certain].tolist() == [[0, len(videos) - 1]]


def test_rows_that_an_extractor_repeats_prove_no_copy():
    """Captions: two videos with the same three sentences, each of which other videos have too."""
    videos = unrelated()
    a, b, c = (videos[i][2][0] for i in (0, 6, 12))
    videos += [("one", "talk", np.stack([a, b, c])), ("two", "golf", np.stack([a, b, c]))]
    found = find_twins(written(videos))
    mixed = found.group[-1]
    assert mixed == found.group[-2]
    assert found.common[mixed]
    rare = [*videos[:-2], ("one", "talk", np.stack([a, b, 2 * c])), ("two", "golf", np.stack([a, b, 2 * c]))]
    found = find_twins(written(rare, name="rare"))
    assert not found.common[found.group[-1]]


def test_few_dimensions_give_high_cosines_by_chance():
    rng = np.random.default_rng(0)
    few = search(store_of(rng.normal(size=(2000, 4)).astype(np.float32)), np.arange(2000))
    assert few.by_chance > MOST_BY_CHANCE
    assert few.by_chance / 2 < (few.cosines >= COPY).sum() < few.by_chance * 2  # what is expected is what is found
    assert not few.certain.any()


def test_a_second_search_reads_the_stored_one_and_a_changed_feature_set_is_searched(monkeypatch):
    features = written(unrelated())
    assert find_twins(features, search_now=False) is None
    first = find_twins(features)
    monkeypatch.setattr(module, "search", None)
    again = find_twins(features)
    assert all(np.array_equal(value, vars(again)[name]) for name, value in vars(first).items())
    assert find_twins(written(unrelated(seed=1), name="other"), search_now=False) is None


def test_a_damaged_stored_search_is_made_once_more():
    features = written(unrelated())
    find_twins(features)
    (path,) = features.path.glob("twins-*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert len(find_twins(features).group) == len(features.ids)


def test_a_derived_feature_set_has_its_parents_twins():
    features = written(unrelated())
    derived = derive_features(get_dataset("hmdb51"), "written", "small", k=4, fit="seen")
    assert np.array_equal(find_twins(derived).group, find_twins(features).group)


def test_the_search_stops_where_pairs_are_without_number(monkeypatch):
    monkeypatch.setattr(module, "_MOST_PAIRS", 50)
    x = np.concatenate([np.eye(1, 8), -np.eye(1, 8)]).repeat(20, axis=0)
    x += 1e-3 * np.random.default_rng(0).normal(size=x.shape)
    found = search(store_of(x.astype(np.float32)), np.arange(40))
    assert not found.complete
    assert len(found.pairs) <= 50


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x: np.repeat(x[:1], len(x), axis=0), "all 6 videos have the same features: the extraction is broken"),
        (lambda x: x[[0, 0, 0, 0, 4, 5]], f"4 of 6 videos have the same features as {IDS[0]}"),
        (lambda x: 100 + 1e-3 * x, "the features of all videos are nearly the same"),
        (lambda x: x[[0, 0, 2, 3, 4, 5]], "2 videos have the same features as a video of another class"),
    ],
)
def test_an_import_says_what_is_wrong_with_the_extraction(tmp_path, csv, change, says):
    _, notes = bring(save(change(POOLED), tmp_path / "x.npy"), csv)
    assert any(says in note for note in notes)


def test_an_import_says_nothing_of_copies_within_one_class(tmp_path, csv):
    _, notes = bring(save(POOLED[[0, 1, 0, 3, 4, 5]], tmp_path / "x.npy"), csv)  # a1 and a2 are of one class
    assert not any("same" in note for note in notes)


def test_one_video_has_no_twin():
    assert list(twin_notes(written(unrelated(("golf",), per_class=1)))) == []


def test_videos_of_any_length_are_compared():
    frames = np.arange(24.0, dtype=np.float32).reshape(6, 4)
    store = FrameStore(frames, [0, 1, 3], [1, 2, 3])
    assert search(store, np.arange(3)).group.tolist() == [0, 1, 2]
