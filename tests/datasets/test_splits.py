"""Splits: properties that hold for any class names, digests, random families, the published families, verification."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zslbench.datasets.catalog import get_dataset, working_datasets
from zslbench.datasets.split_files import FamilyRecord, imported_names, read_record, write_imported
from zslbench.datasets.splits import RANDOM_FAMILIES, Split, SplitFamily, parse_splits, random_family
from zslbench.errors import CoverageError, NotFoundError, ZslbenchError

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)
class_lists = st.lists(names, min_size=2, max_size=30, unique=True)


@st.composite
def partitions(draw):
    classes = draw(class_lists)
    cut = draw(st.integers(1, len(classes) - 1))
    return classes[:cut], classes[cut:]


@given(partitions(), st.randoms())
def test_a_split_does_not_depend_on_the_order_of_its_names(sides, random):
    seen, unseen = sides
    split = Split(tuple(seen), tuple(unseen))
    shuffled = [random.sample(side, len(side)) for side in sides]
    assert Split(*map(tuple, shuffled)) == split
    assert Split(*map(tuple, shuffled)).digest == split.digest
    assert split.seen == tuple(sorted(seen))


@given(partitions(), st.data())
def test_a_split_with_other_content_has_another_digest(sides, data):
    seen, unseen = sides
    split = Split(tuple(seen), tuple(unseen))
    others = [Split(tuple(unseen), tuple(seen)), Split(tuple(seen), tuple(unseen), seen_dataset="other")]
    new = data.draw(names.filter(lambda name: name not in seen + unseen))
    others += [Split((*seen, new), tuple(unseen)), Split(tuple(seen), tuple(unseen), validation=(new,))]
    if len(unseen) > 1:
        others.append(Split((*seen, unseen[0]), tuple(unseen[1:])))
    assert len({split.digest, *(other.digest for other in others)}) == len(others) + 1


@given(partitions())
def test_sides_that_overlap_repeat_or_are_empty_are_refused(sides):
    seen, unseen = map(tuple, sides)
    for bad in (((*seen, unseen[0]), unseen), ((*seen, seen[0]), unseen), ((), unseen), (seen, ())):
        with pytest.raises(ZslbenchError):
            Split(*bad)
    with pytest.raises(ZslbenchError):
        Split(seen, unseen, validation=(unseen[0],))


@settings(max_examples=25, deadline=None)
@given(class_lists, st.sampled_from(sorted(RANDOM_FAMILIES)), st.randoms())
def test_random_families_are_partitions_of_the_right_size_whatever_the_order(classes, name, random):
    n_unseen = len(classes) * RANDOM_FAMILIES[name] // 100
    if not n_unseen:
        with pytest.raises(ZslbenchError, match="more classes"):
            random_family(name, "toy", classes)
        return
    family = random_family(name, "toy", classes)
    assert len(family) == 50
    for split in family.splits:
        assert len(split.unseen) == n_unseen
        assert sorted(split.seen + split.unseen) == sorted(classes)
    assert random_family(name, "another", random.sample(classes, len(classes))).digest == family.digest


@given(st.integers(1, 60), st.data())
def test_parse_splits_reads_every_form(size, data):
    assert parse_splits("all", size) == list(range(size))
    count = data.draw(st.integers(1, size))
    start = data.draw(st.integers(0, count - 1))
    assert parse_splits(str(count), size) == list(range(count))
    assert parse_splits(f"{start}:{count}", size) == list(range(start, count))
    assert parse_splits(f"{start}:", size) == list(range(start, size))
    chosen = data.draw(st.lists(st.integers(0, size - 1), min_size=2, unique=True)) if size > 1 else [0, 0]
    assert parse_splits(",".join(map(str, chosen)), size) == chosen
    for bad in (str(size + 1), "0", f"{size}:{size + 1}", f"0:{10**12}", "x", "1:2:3", f"0,{size}", "-1", ""):
        with pytest.raises(ZslbenchError):
            parse_splits(bad, size)


def test_a_family_counts_its_distinct_splits_and_its_order_matters():
    a, b = Split(("x",), ("y",)), Split(("y",), ("x",))
    family = SplitFamily("f", "toy", (a, b, a), "")
    assert (len(family), family.n_distinct) == (3, 2)
    assert family.digest != SplitFamily("f", "toy", (a, a, b), "").digest
    assert family.digest == SplitFamily("renamed", "toy", (a, b, a), "another source").digest
    with pytest.raises(CoverageError, match=r"1 more \(y\)"):
        family.check_coverage(["x"], "toy@features")
    family.check_coverage(["x", "y"], "toy@features")


def test_unknown_random_families_are_refused():
    with pytest.raises(NotFoundError, match="Did you mean random-50/50"):
        random_family("random-50", "toy", ["a", "b"])


def test_every_built_in_family_has_its_pinned_digest():
    for dataset in working_datasets():
        digests = {name: dataset.family(name).digest for name in [*dataset.stored_families, *RANDOM_FAMILIES]}
        assert digests == dataset.pinned_digests


def test_published_families_are_what_the_literature_says():
    ucf = get_dataset("ucf101").family("xu-50/50")
    assert (len(ucf), ucf.n_distinct) == (50, 47)
    assert [ucf.splits[i].digest for i in (6, 7, 8)] == [ucf.splits[i].digest for i in (0, 1, 2)]
    assert {(len(s.seen), len(s.unseen)) for s in ucf.splits} == {(51, 50)}
    assert {(len(s.seen), len(s.unseen)) for s in get_dataset("hmdb51").family("xu-50/50").splits} == {(26, 25)}


def test_imported_families_join_the_dataset_and_notice_edits(data_root):
    dataset = get_dataset("olympicsports16")
    family = SplitFamily("mine", dataset.name, (Split(dataset.classes[4:], dataset.classes[:4]),), "me", "a note")
    write_imported([family])
    assert imported_names(dataset.name) == ["mine"]
    assert dataset.family_names[-1] == "mine"
    assert dataset.family("mine") == family
    with pytest.raises(ZslbenchError, match="already"):
        write_imported([family])
    path = data_root / "splits" / dataset.name / "mine.json"
    record = json.loads(path.read_text())
    record["unseen"][0].pop()
    path.write_text(json.dumps(record))
    with pytest.raises(ZslbenchError, match="edited"):
        dataset.family("mine")


def test_validation_classes_and_foreign_seen_classes_survive_a_round_trip():
    split = Split(("a", "b"), ("a", "c"), ("d",), seen_dataset="other")
    family = SplitFamily("f", "toy", (split, split), "s")
    record = FamilyRecord.model_validate_json(FamilyRecord.of(family).model_dump_json())
    assert record.family(["a", "b", "c", "d"]).digest == family.digest


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("nonsense", "no split family"),
        ('{"dataset": "ucf101"}', "unseen"),
        ('{"dataset": "ucf101", "unseen": []}', "at least one"),
        ('{"dataset": "ucf101", "unseen": [["a"]], "seen": []}', "as many"),
        ('{"dataset": "ucf101", "unseen": [["a"]], "typo": 1}', "typo"),
        ('{"dataset": "ucf101", "unseen": [["a"]], "seen_dataset": "hmdb51"}', "no seen classes"),
    ],
)
def test_unfit_records_end_in_a_sentence(tmp_path, content, sentence):
    path = tmp_path / "f.json"
    path.write_text(content)
    with pytest.raises(ZslbenchError, match=sentence):
        read_record(path)


@pytest.mark.real
def test_xus_indices_count_the_releases_own_order(shared_data):
    from zslbench.datasets.xu_release import read_labels, read_splits

    folder = shared_data / "xu-ijcv17"
    splits = read_splits(folder / "Split.mat", folder / "Label.mat")
    assert sorted(splits) == ["hmdb51", "olympicsports16", "ucf101"]
    for name, found in splits.items():
        assert get_dataset(name).family("xu-50/50").splits == tuple(found)
    # The trap: the same indices into sorted() names change the unseen set of 42 of UCF101's 50 splits.
    names = read_labels(folder / "Label.mat")[0]["ucf101"][0]
    swapped = dict(zip(names, sorted(names), strict=True))
    assert sum({swapped[n] for n in s.unseen} != set(s.unseen) for s in splits["ucf101"]) == 42
