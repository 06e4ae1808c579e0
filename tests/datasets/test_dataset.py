"""Datasets: lookup of classes, phrases and families."""

import pytest

from zslbench import registry
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.splits import RANDOM_FAMILIES
from zslbench.errors import NotFoundError, ZslbenchError

DATASETS = registry.DATASETS.names()


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_is_whole(name):
    dataset = get_dataset(name)
    assert len(set(dataset.classes)) == len(dataset.classes)
    assert [dataset.label_of[c] for c in dataset.classes] == list(range(len(dataset.classes)))
    assert "plain" in dataset.phrases
    for table, phrases in dataset.phrases.items():
        assert set(phrases) == set(dataset.classes), table
        assert all(words.split() for words in phrases.values()), table
    if dataset.videos_per_class:
        assert set(dataset.videos_per_class) == set(dataset.classes)
        assert sum(dataset.videos_per_class.values()) == dataset.n_videos
    for family in dataset.family_names:
        for split in dataset.family(family).splits:
            assert set(split.unseen) <= set(dataset.classes)


@pytest.mark.parametrize("name", DATASETS)
def test_classes_resolve_to_themselves(name):
    dataset = get_dataset(name)
    assert [dataset.resolve_class(c) for c in dataset.classes] == list(dataset.classes)


@pytest.mark.parametrize("spelt", ["brush_hair", "Brush Hair", "brush-hair", "BrushHair"])
def test_class_names_are_resolved_however_they_are_spelt(spelt):
    assert get_dataset("hmdb51").resolve_class(spelt) == "brush_hair"


def test_handstand_pushups_in_the_spelling_of_the_video_files():
    assert get_dataset("ucf101").resolve_class("HandStandPushups") == "HandstandPushups"


def test_names_that_are_unknown_or_ambiguous_are_refused():
    with pytest.raises(ZslbenchError, match="Did you mean brush_hair"):
        get_dataset("hmdb51").resolve_class("brush hairs")
    twins = Dataset(name="toy", display_name="Toy", classes=("a b", "A_B"), phrases={"plain": {}})
    assert twins.resolve_class("A_B") == "A_B"
    with pytest.raises(ZslbenchError):
        twins.resolve_class("ab")


def test_unknown_tables_and_families_are_refused():
    dataset = get_dataset("hmdb51")
    assert dataset.phrase("brush_hair") == "brush hair"
    with pytest.raises(NotFoundError, match="Did you mean e2e-v1"):
        dataset.phrase("brush_hair", "e2e-v2")
    with pytest.raises(NotFoundError, match="Did you mean xu-50/50"):
        dataset.family("xu-5050")


def test_random_families_divide_the_classes_at_hand():
    dataset = get_dataset("ucf101")
    classes = dataset.classes[:15]
    for name in RANDOM_FAMILIES:
        family = dataset.family(name, classes)
        assert {c for s in family.splits for c in s.seen + s.unseen} == set(classes)
        assert family.digest != dataset.family(name).digest


def test_the_digest_is_of_the_names_in_order():
    a = Dataset(name="toy", display_name="Toy", classes=("x", "y"), phrases={})
    assert a.digest != Dataset(name="toy", display_name="Toy", classes=("y", "x"), phrases={}).digest
    assert a.digest == Dataset(name="other", display_name="Other", classes=("x", "y"), phrases={}).digest
