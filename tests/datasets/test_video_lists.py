"""The lists of videos that are shipped: sizes, the rules behind them, and draws from them."""

import csv
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from zslbench import get_dataset
from zslbench.datasets import video_lists
from zslbench.datasets.video_ids import VideoList, video_key
from zslbench.datasets.video_lists import base_and_novel, draw, drawn, known_lists, list_names, video_list
from zslbench.errors import ZslbenchError

SHARED = Path(os.environ.get("ZSLBENCH_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
CLIP = SHARED / "vifi-clip-lists" / "datasets_splits"
OFFICIAL_SIZES = {
    "ucf101": [(9537, 3783), (9586, 3734), (9624, 3696)],
    "hmdb51": [(3570, 1530), (3570, 1530), (3570, 1530)],
}
DIGESTS = {
    ("ucf101", "official-1"): "710d429d0f14fe80bf206b37b4b8a3fa",
    ("ucf101", "official-2"): "8427fb8a71588f100a42badf5f2180f9",
    ("ucf101", "official-3"): "e1f5e9583f30e72a02f807dae4b63267",
    ("hmdb51", "official-1"): "d3afed726df17d73bf2d92308900d5d8",
    ("hmdb51", "official-2"): "38deeefc17605653401795bfbf91450e",
    ("hmdb51", "official-3"): "5337724d3ae22873d3434202abe26911",
    ("ucf101", "16-shot-1"): "069acd1f3e51a4d24f16972c1d5e2cca",
    ("hmdb51", "16-shot-1"): "0dc3f4b7e658459ab0aabae4c925fc6e",
    ("ucf101", "base-to-novel-1"): "53b3f0071663d086369a1c8ca19f39ac",
    ("hmdb51", "base-to-novel-1"): "b18ef839dc5eed65e9b13acd20e34e87",
}


def keys(videos):
    return {video_key(video) for video in videos}


@pytest.mark.parametrize("name", OFFICIAL_SIZES)
def test_official_lists_have_their_published_sizes(name):
    lists = [video_list(name, f"official-{i}") for i in (1, 2, 3)]
    assert [(len(each.train), len(each.test)) for each in lists] == OFFICIAL_SIZES[name]


@pytest.mark.parametrize("key", DIGESTS)
def test_digests_of_the_lists_are_those_released(key):
    assert video_list(*key).digest == DIGESTS[key]


@pytest.mark.parametrize("name", OFFICIAL_SIZES)
def test_a_dataset_lists_every_video_of_every_class_once(name):
    lists, dataset = known_lists(name), get_dataset(name)
    assert {c: len(v) for c, v in lists.videos.items()} == dict(dataset.videos_per_class)
    assert len(keys(lists.ids)) == len(lists.ids) == dataset.n_videos


def test_ucf101_tests_seven_groups_per_list():
    ids = known_lists("ucf101").ids
    for number in (1, 2, 3):
        groups = range(7 * number - 6, 7 * number + 1)
        tested = {v for v in ids if int(re.search(r"_g(\d+)_c", v)[1]) in groups}
        assert set(video_list("ucf101", f"official-{number}").test) == tested
        assert set(video_list("ucf101", f"official-{number}").train) == set(ids) - tested


def test_hmdb51_has_70_training_and_30_test_videos_per_class():
    class_of = known_lists("hmdb51").class_of
    for number in (1, 2, 3):
        listed = video_list("hmdb51", f"official-{number}")
        assert set(Counter(class_of[v] for v in listed.train).values()) == {70}
        assert set(Counter(class_of[v] for v in listed.test).values()) == {30}


@pytest.mark.parametrize("name", OFFICIAL_SIZES)
def test_published_draws_have_k_training_videos_per_class_and_test_on_list_1(name):
    class_of, first = known_lists(name).class_of, video_list(name, "official-1")
    for shots in (2, 4, 8, 16):
        listed = drawn(name, f"{shots}-shot-1")
        counts = Counter(class_of[v] for v in listed.train)
        assert len(counts) == len(get_dataset(name).classes)
        assert set(counts.values()) == {shots}
        assert set(listed.train) <= set(first.train)
        assert listed.test == first.test


@pytest.mark.parametrize(("name", "sizes"), [("ucf101", (51, 50)), ("hmdb51", (26, 25)), ("kinetics400", (200, 200))])
def test_base_to_novel_draws_train_16_videos_of_each_base_class_only(name, sizes):
    base, novel = base_and_novel(name)
    assert (len(base), len(novel)) == sizes
    assert {*base, *novel} == set(get_dataset(name).classes)
    class_of = known_lists(name).class_of
    draws = [drawn(name, f"base-to-novel-{i}") for i in (1, 2, 3)]
    for listed in draws:
        assert Counter(class_of[v] for v in listed.train) == dict.fromkeys(base, 16)
        assert {class_of[v] for v in listed.test} == set(get_dataset(name).classes)
    assert len({listed.digest for listed in draws}) == 3


def test_kinetics_lists_test_the_published_videos_of_the_published_classes():
    assert len(video_list("kinetics400", "validation").test) == 19_877
    family, class_of = get_dataset("kinetics600").family("kinetics-zsar"), known_lists("kinetics600").class_of
    for i, n in enumerate((14_084, 13_978, 14_136)):
        test = video_list("kinetics600", f"kinetics-zsar-{i + 1}").test
        assert len(test) == n
        assert {class_of[v] for v in test} == set(family.splits[i].unseen)


@pytest.mark.real
@pytest.mark.skipif(not CLIP.is_dir(), reason="needs the lists of vifi-clip-lists in ZSLBENCH_SHARED_DATA")
@pytest.mark.parametrize(("name", "folder"), [("ucf101", "ucf_splits"), ("hmdb51", "hmdb_splits")])
def test_shipped_lists_equal_the_public_files(name, folder):
    def read(path):
        return {Path(line.rpartition(" ")[0]).stem for line in path.read_text().splitlines() if line.strip()}

    for i in (1, 2, 3):
        assert set(video_list(name, f"official-{i}").test) == read(CLIP / folder / f"val{i}.txt")
        base = CLIP / "base2novel_splits" / folder
        assert set(drawn(name, f"base-to-novel-{i}").train) == read(base / f"fs_base_s{i}_train.txt")
    for shots in (2, 4, 8, 16):
        assert set(drawn(name, f"{shots}-shot-1").train) == read(CLIP / folder / f"train1_few_shot_{shots}.txt")


@pytest.mark.real
@pytest.mark.skipif(not (SHARED / "ucf101-captions").is_dir(), reason="needs ucf101-captions in ZSLBENCH_SHARED_DATA")
def test_real_features_have_exactly_the_videos_of_the_lists():
    with (SHARED / "ucf101-captions" / "videos.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    first = video_list("ucf101", "official-1")
    assert first.sides(row["video"] for row in rows) == [row["official_split1"] for row in rows]
    missing = first.missing(row["video"] for row in rows)
    assert missing.train == missing.test == ()


@pytest.mark.parametrize(
    "spelling",
    ["v_HandStandPushups_g01_c01", "v_HandstandPushups_g01_c01.avi", "HandstandPushups/v_HandStandPushups_g01_c01.mp4"],
)
def test_spellings_of_one_video_are_on_one_side(spelling):
    assert video_list("ucf101", "official-1").sides([spelling]) == ["test"]


def test_a_draw_is_the_same_for_any_order_of_videos_and_nested_in_larger_draws():
    first = video_list("hmdb51", "official-1")
    class_of = known_lists("hmdb51").class_of
    few = draw(first, class_of, 2, seed=1)
    assert few.digest == draw(first, dict(reversed(class_of.items())), 2, seed=1).digest
    assert set(few.train) < set(draw(first, class_of, 16, seed=1).train) < set(first.train)
    assert few.digest != draw(first, class_of, 2, seed=2).digest
    assert few.test == first.test
    one_class = {v: c for v, c in class_of.items() if c == "wave"}
    assert set(draw(first, one_class, 2, seed=1).train) == {v for v in few.train if class_of[v] == "wave"}


def test_a_seeded_draw_takes_every_video_of_a_class_equally_often():
    listed = VideoList("official-1", train=tuple("abcde"), test=("z",))
    counts = Counter(v for seed in range(2000) for v in draw(listed, dict.fromkeys("abcde", "run"), 2, seed).train)
    assert max(abs(n - 800) for n in counts.values()) < 4 * (2000 * 0.4 * 0.6) ** 0.5


def test_a_draw_of_more_videos_than_a_class_has_is_refused_with_the_class():
    with pytest.raises(ZslbenchError, match=r"51 of 51 classes have fewer .* 70\); choose at most 70\.$"):
        draw(video_list("hmdb51", "official-1"), known_lists("hmdb51").class_of, 71, seed=0)


def test_a_draw_knows_videos_by_any_spelling_of_their_ids():
    first, class_of = video_list("hmdb51", "official-1"), known_lists("hmdb51").class_of
    spelt = {f"{name}/{video.upper()}.avi": name for video, name in class_of.items()}
    assert draw(first, spelt, 2, seed=1) == draw(first, class_of, 2, seed=1)
    with pytest.raises(ZslbenchError, match="no class of a training video of official-1 is known"):
        draw(first, {"row 1": "wave"}, 2, seed=1)


def test_a_list_with_a_video_on_both_sides_is_refused():
    with pytest.raises(ZslbenchError, match="the list mine has wave_1 twice; keep each video on one side"):
        VideoList("mine", train=("Wave_1.avi",), test=("wave_1",))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: video_list("hmdb51", "official-4"), "has no list 'official-4'. Did you mean official-"),
        (lambda: drawn("hmdb51", "official-1"), "has no published draw 'official-1'"),
        (lambda: video_list("olympicsports16", "official-1"), "zslbench datasets lists olympicsports16 DIR"),
        (lambda: base_and_novel("olympicsports16"), "no published base and novel classes"),
    ],
)
def test_an_unknown_list_is_one_sentence(call, sentence):
    with pytest.raises(ZslbenchError) as caught:
        call()
    assert sentence in str(caught.value)


def test_a_damaged_file_of_lists_is_refused(tmp_path):
    path = tmp_path / "mine.json.gz"
    path.write_bytes(b"no gzip")
    with pytest.raises(ZslbenchError, match="cannot be read"):
        video_lists.read_lists(path)


def test_a_dataset_without_lists_names_none():
    assert list_names("olympicsports16") == ()
