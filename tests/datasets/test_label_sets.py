"""Label sets: what is shipped, what ``trained_on`` may call it, and what a stranger's package adds."""

import json

import numpy as np
import pytest

from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import all_label_sets, find_label_set, get_label_set, is_untrained
from zslbench.errors import NotFoundError
from zslbench_datasets import DATA


@pytest.mark.parametrize(
    ("name", "size"),
    [("sports1m", 487), ("imagenet1k", 1000), ("kinetics400", 400), ("kinetics600", 600), ("kinetics700", 700),
     ("ucf101", 101), ("hmdb51", 51), ("olympicsports16", 16), ("web-captions", 0)],
)  # fmt: skip
def test_shipped_sets_have_their_sources_number_of_labels(name, size):
    found = all_label_sets()[name]
    assert len(found.labels) == len(found.phrases) == size
    assert found.source


@pytest.mark.parametrize(
    ("said", "meant"),
    [("ImageNet", "imagenet1k"), ("imagenet-1k", "imagenet1k"), ("ILSVRC2012", "imagenet1k"), ("Sports-1M", "sports1m"),
     ("sports_1m", "sports1m"), ("K400", "kinetics400"), ("Kinetics", "kinetics400"), ("kinetics-400", "kinetics400"),
     ("UCF-101", "ucf101"), ("HMDB", "hmdb51"), ("LAION-400M", "web-captions"), ("CLIP", "web-captions")],
)  # fmt: skip
def test_usual_spellings_of_training_data_are_known(said, meant):
    assert find_label_set(said).name == meant


def test_imagenet21k_is_not_taken_for_imagenet1k():
    assert find_label_set("imagenet21k") is None


def test_only_words_that_say_so_mean_an_untrained_extractor():
    assert is_untrained("Nothing")
    assert is_untrained("none")
    assert not is_untrained("imagenet")


def test_an_unknown_set_is_refused_with_the_nearest_name():
    with pytest.raises(NotFoundError, match="sports1m"):
        get_label_set("sport-2m")


def test_no_alias_means_two_sets():
    for each in all_label_sets().values():
        assert all(find_label_set(alias) is each for alias in (each.name, *each.aliases))


def test_every_set_with_labels_has_a_unit_vector_a_label():
    for each in all_label_sets().values():
        vectors = each.vectors_of("minilm")
        if each.labels:
            assert vectors.shape == (len(each.labels), 384)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        else:
            assert vectors is None


def test_label_vectors_lie_in_the_space_of_the_shipped_class_vectors():
    """'archery' was encoded twice, for Sports-1M and for UCF101: the two must agree but for float16."""
    from zslbench.semantics.class_vectors import open_semantics

    labels = find_label_set("sports1m")
    theirs = labels.vectors_of("minilm")[labels.labels.index("archery")]
    ours = open_semantics("minilm", get_dataset("ucf101"), ["Archery"]).vectors[0]
    assert float(theirs @ ours) == pytest.approx(1, abs=1e-3)


def test_the_files_carry_names_and_a_source_and_nothing_else():
    for path in (DATA / "label_sets").glob("*.json"):
        record = json.loads(path.read_text())
        assert set(record) == {"name", "display_name", "kind", "aliases", "source", "labels"}


def test_a_package_brings_its_own_label_set(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    info = folder / "mylabels-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mylabels\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zslbench.label_sets]\nmine = mylabels:sets\n")
    (folder / "mylabels.py").write_text(
        "from zslbench.datasets.label_sets import LabelSet\n"
        "def sets():\n"
        "    return [LabelSet('diving48', 'Diving48', 'actions', ('reverse dive',), (('reverse dive',),))]\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    all_label_sets.cache_clear()
    try:
        assert all_label_sets()["diving48"].labels == ("reverse dive",)
    finally:
        monkeypatch.undo()
        all_label_sets.cache_clear()
    assert "diving48" not in all_label_sets()
