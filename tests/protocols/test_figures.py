"""Zero-shot protocols, of one dataset and across two, give the figures of float64 loops over features made here."""

import numpy as np
import pytest
from tiny import make_features, plan

from zslbench.datasets.catalog import get_dataset
from zslbench.families.catalog import find_family
from zslbench.families.cross import _kept, shared_names
from zslbench.method import Report
from zslbench.run.evaluate import evaluate
from zslbench.run.task import build_task
from zslbench.semantics.class_vectors import open_semantics
from zslbench.semantics.importing import import_semantics

HMDB51, UCF101, KINETICS700 = (get_dataset(name) for name in ("hmdb51", "ucf101", "kinetics700"))


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def videos_of(features, names):
    """Return the unit mean frames of the videos of some classes, their classes and their ids, in float64."""
    found, labels, ids = [], [], []
    for i, video in enumerate(features.ids):
        name = features.dataset.classes[features.labels[i]]
        if name in names:
            start, n = features.store.offsets[i], features.store.lengths[i]
            found.append(unit(np.asarray(features.store.frames[start : start + n], dtype=np.float64).mean(axis=0)))
            labels.append(name)
            ids.append(video)
    return np.array(found), labels, ids


def ridge(x, labels, vectors):
    """Return the map of a ridge regression with strength 1 and an intercept, from the normal equations."""
    y = np.array([unit(vectors[name]) for name in labels])
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    weights = np.linalg.solve((x - mean_x).T @ (x - mean_x) + np.eye(x.shape[1]), (x - mean_x).T @ (y - mean_y))
    return lambda video: (video - mean_x) @ weights + mean_y


def right(mapped, videos, labels, offered, vectors):
    """Return class -> which of its videos have the largest cosine with its own vector among those on offer."""
    found = {}
    for video, label in zip(videos, labels, strict=True):
        cosines = {name: unit(mapped(video)) @ unit(vectors[name]) for name in offered}
        found.setdefault(label, []).append(max(cosines, key=cosines.get) == label)
    return found


def check(metrics, found):
    assert metrics["top1"] == pytest.approx(np.mean([each for videos in found.values() for each in videos]))
    assert metrics["top1_per_class"] == pytest.approx(np.mean([np.mean(videos) for videos in found.values()]))


def vectors_of(dataset, spec="minilm"):
    found = open_semantics(spec, dataset)
    return dict(zip(found.names, found.vectors.astype(np.float64), strict=True))


RIDGE = {"method": "ridge", "set": {"ridge": {"alpha": 1.0}}}
SHARED = {match.class_name for match in shared_names("hmdb51", "ucf101")}


@pytest.fixture
def both():
    """Features of HMDB51, which is tested and has an official column, and of UCF101."""
    make_features("hmdb51", official=True, noise=2.0)
    make_features("ucf101", per_class=3, noise=2.0, seed=0)


@pytest.mark.parametrize("family", ["ucf101->hmdb51", "ucf101->hmdb51-no-overlap", "ucf101->hmdb51/halves"])
def test_all_videos_of_all_or_of_half_of_the_classes_are_tested_after_another_dataset(both, family):
    cell = plan(family=family, splits="1", **RIDGE)[0]
    tested, trained = (
        videos_of(*each) for each in ((opened("hmdb51"), offered_by(family)), (opened("ucf101"), UCF101.classes))
    )
    assert len(offered_by(family)) == {"/halves": 25, "overlap": 51 - len(SHARED)}.get(family[-7:], 51)
    mapped = ridge(*trained[:2], vectors_of(UCF101))
    found = right(mapped, *tested[:2], offered_by(family), vectors_of(HMDB51))
    check(evaluate(cell, Report()).result.metrics, found)


def opened(dataset):
    from zslbench import open_features

    return open_features(get_dataset(dataset), "tiny")


def offered_by(family):
    if family.endswith("no-overlap"):
        return [name for name in HMDB51.classes if name not in SHARED]
    return HMDB51.family("bike-half").splits[0].unseen if family.endswith("halves") else HMDB51.classes


def test_on_a_list_only_its_videos_are_tested(both):
    (cell,) = plan(family="ucf101->hmdb51/lists", splits="1", **RIDGE)
    videos, labels, ids = videos_of(opened("hmdb51"), HMDB51.classes)
    on_list = [i for i, video in enumerate(ids) if int(video.rpartition("_")[2]) < 2]  # make_features tests a third
    mapped = ridge(*videos_of(opened("ucf101"), UCF101.classes)[:2], vectors_of(UCF101))
    found = right(mapped, videos[on_list], [labels[i] for i in on_list], HMDB51.classes, vectors_of(HMDB51))
    check(evaluate(cell, Report()).result.metrics, found)


@pytest.mark.slow
def test_gzsl_offers_the_classes_of_both_and_has_s_u_and_h(both):
    settings = {"train": "ucf101", "without_overlap": True, "protocol": "gzsl", "calibrate": False}
    (cell,) = plan(splits="1", **settings, **RIDGE)
    held_out = {video for video in build_task(cell).ids if video.startswith("ucf101/")}
    unseen = [name for name in HMDB51.classes if name not in SHARED]
    vectors = {name: vector for name, vector in vectors_of(HMDB51).items() if name in unseen}
    vectors |= {f"{name} (ucf101)": vector for name, vector in vectors_of(UCF101).items()}
    videos, labels, ids = videos_of(opened("ucf101"), UCF101.classes)
    labels = [f"{name} (ucf101)" for name in labels]
    out = np.array([f"ucf101/{video}" in held_out for video in ids])
    assert {label for label, gone in zip(labels, out, strict=True) if gone} == set(labels)
    mapped = ridge(videos[~out], [name for name, gone in zip(labels, out, strict=True) if not gone], vectors)
    seen = right(mapped, videos[out], [name for name, gone in zip(labels, out, strict=True) if gone], vectors, vectors)
    new = right(mapped, *videos_of(opened("hmdb51"), unseen)[:2], vectors, vectors)
    s, u = (np.mean([np.mean(each) for each in side.values()]) for side in (seen, new))
    metrics = evaluate(cell, Report()).result.metrics
    assert (metrics["S"], metrics["U"]) == (pytest.approx(s), pytest.approx(u))
    assert metrics["H"] == pytest.approx(2 * s * u / (s + u))


@pytest.mark.parametrize("family", ["xu-50/50", "truze-v1"])
def test_unseen_classes_of_one_dataset_are_tested_after_the_seen_ones(both, family):
    split, vectors, features = HMDB51.family(family).splits[0], vectors_of(HMDB51), opened("hmdb51")
    mapped = ridge(*videos_of(features, split.seen)[:2], vectors)
    found = right(mapped, *videos_of(features, split.unseen)[:2], split.unseen, vectors)
    check(evaluate(plan(family=family, splits="1", **RIDGE)[0], Report()).result.metrics, found)


def test_gzsl_of_one_dataset_holds_out_the_test_videos_of_seen_classes(both):
    split, vectors = HMDB51.family("xu-50/50").splits[0], vectors_of(HMDB51)
    videos, labels, ids = videos_of(opened("hmdb51"), split.seen)
    out = np.array([int(video.rpartition("_")[2]) < 2 for video in ids])  # make_features tests a third
    sides = [(videos[out == side], [n for n, gone in zip(labels, out, strict=True) if gone == side]) for side in (0, 1)]
    mapped = ridge(*sides[0], vectors)
    seen = right(mapped, *sides[1], HMDB51.classes, vectors)
    unseen = right(mapped, *videos_of(opened("hmdb51"), split.unseen)[:2], HMDB51.classes, vectors)
    s, u = (np.mean([np.mean(each) for each in side.values()]) for side in (seen, unseen))
    (cell,) = plan(protocol="gzsl", splits="1", calibrate=False, **RIDGE)
    metrics = evaluate(cell, Report()).result.metrics
    assert (metrics["S"], metrics["U"]) == (pytest.approx(s), pytest.approx(u))
    assert metrics["H"] == pytest.approx(2 * s * u / (s + u))


@pytest.fixture
def word2vec(tmp_path):
    """Import random word vectors of all class names as the rule e2e spells them; ``abseil`` lies near ``haircut``."""
    phrases = {d.name: d.phrases["e2e-v1"] for d in (KINETICS700, UCF101, HMDB51)}
    words = sorted({word for each in phrases.values() for text in each.values() for word in text.split()})
    rng = np.random.default_rng(0)
    vectors = {word: rng.normal(size=50) for word in words}
    vectors["abseil"] = vectors["haircut"] + 0.1 * rng.normal(size=50)
    text = "".join(f"{word} {' '.join(f'{x:.5f}' for x in vector)}\n" for word, vector in vectors.items())
    (tmp_path / "w.txt").write_text(f"{len(words)} 50\n{text}")
    import_semantics("word2vec", tmp_path / "w.txt")
    _kept.cache_clear()
    yield {
        dataset: {name: unit(np.mean([unit(vectors[w]) for w in text.split()], axis=0)) for name, text in each.items()}
        for dataset, each in phrases.items()
    }
    _kept.cache_clear()


def test_e2e_trains_on_kinetics700_without_the_classes_near_a_tested_one(word2vec):
    make_features("kinetics700", per_class=1, noise=2.0)
    make_features("ucf101", per_class=3, noise=2.0)
    near = [*word2vec["ucf101"].values(), *word2vec["hmdb51"].values()]
    kept = [name for name, vector in word2vec["kinetics700"].items() if all(1 - vector @ each >= 0.05 for each in near)]
    (split,) = find_family(UCF101, "k700-e2e->ucf101").splits
    assert split.seen == tuple(sorted(kept))
    assert "abseiling" not in kept
    assert 600 < len(kept) < 700
    (cell,) = plan(dataset="ucf101", family="k700-e2e->ucf101", splits="1", semantics="word2vec", **RIDGE)
    mapped = ridge(*videos_of(opened("kinetics700"), set(kept))[:2], word2vec["kinetics700"])
    found = right(mapped, *videos_of(opened("ucf101"), UCF101.classes)[:2], UCF101.classes, word2vec["ucf101"])
    check(evaluate(cell, Report()).result.metrics, found)
