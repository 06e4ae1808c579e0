"""What the dataset files claim: counts, partitions, the index-order trap, phrases, class vectors.

The JSON files are read as they are, so that a fault here is a fault of the data and not of the reader.
"""

import hashlib
import importlib
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io

import zslbench_datasets

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "datasets" / "data"
XU = Path(os.environ.get("ZSLBENCH_SHARED_DATA") or ROOT.parent / "shared" / "data") / "xu-ijcv17"

COUNTS = {
    "hmdb51": (51, 6766),
    "ucf101": (101, 13320),
    "olympicsports16": (16, 783),
    "kinetics400": (400, None),
    "kinetics600": (600, None),
    "kinetics700": (700, None),
}
RECORDS = {name: json.loads((DATA / f"{name}.json").read_text(encoding="utf-8")) for name in COUNTS}
FAMILIES = {(name, fam["name"]): fam for name, record in RECORDS.items() for fam in record["families"]}
SIZES = {  # splits, unseen classes
    ("hmdb51", "xu-50/50"): (50, 25),
    ("hmdb51", "truze-v1"): (1, 22),
    ("hmdb51", "truze-v2"): (1, 22),
    ("hmdb51", "e2e-half"): (10, 25),
    ("hmdb51", "bike-half"): (10, 25),
    ("ucf101", "xu-50/50"): (50, 50),
    ("ucf101", "bidilel-80/20"): (30, 20),
    ("ucf101", "truze-v1"): (1, 34),
    ("ucf101", "truze-v2"): (1, 31),
    ("ucf101", "e2e-half"): (10, 50),
    ("ucf101", "bike-half"): (10, 50),
    ("ucf101", "sound"): (1, 51),
    ("olympicsports16", "xu-50/50"): (50, 8),
    ("kinetics600", "kinetics-zsar"): (3, 160),
}


def changed(splits, others):
    return sum(set(a) != set(b) for a, b in zip(splits, others, strict=True))


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name):
    record, (classes, videos) = RECORDS[name], COUNTS[name]
    assert (len(record["classes"]), record["videos"]) == (classes, videos)


@pytest.fixture(scope="module")
def builder():
    """The tool that wrote the files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        return importlib.import_module("build_datasets")


@pytest.mark.parametrize("name", COUNTS)
def test_a_file_passes_its_builders_checks_and_is_laid_out_by_it(name, builder):
    """Names are distinct and in order, counts add up, splits overlap in nothing, and phrases are distinct."""
    builder.check_record(RECORDS[name])
    assert builder.layout(RECORDS[name]) + "\n" == (DATA / f"{name}.json").read_text(encoding="utf-8")


def test_hmdb51_is_skewed():
    counts = RECORDS["hmdb51"]["videos_per_class"]
    assert (min(counts.values()), max(counts.values()), counts["walk"]) == (102, 548, 548)


def test_ucf101_keeps_the_official_order():
    classes = RECORDS["ucf101"]["classes"]
    official = {"Hammering": 35, "HammerThrow": 36, "JumpingJack": 47, "JumpRope": 48}  # classInd.txt counts from 1
    assert {name: classes.index(name) + 1 for name in official} == official
    assert classes != sorted(classes)


def test_families_are_the_expected_ones():
    assert {key: (len(fam["unseen"]), len(fam["unseen"][0])) for key, fam in FAMILIES.items()} == SIZES


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_every_split_partitions_classes(name, family):
    fam, rank = FAMILIES[name, family], {c: i for i, c in enumerate(RECORDS[name]["classes"])}
    seen_of = RECORDS[fam["seen_dataset"] or name]["classes"]
    for i, unseen in enumerate(fam["unseen"]):
        assert len(unseen) == SIZES[name, family][1]
        assert unseen == sorted(set(unseen), key=rank.__getitem__)  # raises on a name that the dataset lacks
        validation = fam["validation"][i] if fam["validation"] else []
        seen = fam["seen"][i] if fam["seen"] else [c for c in seen_of if c not in {*unseen, *validation}]
        assert set(seen) <= set(seen_of)
        if not fam["seen_dataset"]:
            assert {*unseen, *validation, *seen} == set(rank)


@pytest.mark.parametrize(("key", "distinct"), [("hmdb51", 50), ("ucf101", 47), ("olympicsports16", 50)])
def test_distinct_splits_of_xu(key, distinct):
    unseen = FAMILIES[key, "xu-50/50"]["unseen"]
    assert len({frozenset(split) for split in unseen}) == distinct


def test_ucf101_splits_that_repeat():
    fam = FAMILIES["ucf101", "xu-50/50"]
    assert fam["unseen"][6:9] == fam["unseen"][:3]
    assert "47 are distinct" in fam["note"]


def test_the_classes_with_sound_are_those_of_mteb():
    """Its statistics (MTEB at a905523d) have no names, but 51 prompts of 1,154 characters, the longest of 29."""
    prompts = [f"a video of {name}" for name in FAMILIES["ucf101", "sound"]["unseen"][0]]
    assert (len(prompts), sum(map(len, prompts))) == (51, 1154)
    assert (min(map(len, prompts)), max(map(len, prompts))) == (17, 29)


@pytest.mark.real
def test_the_test_videos_of_the_classes_with_sound_are_as_many_as_mteb_has(shared_data):
    """The numbers of its classes 0 to 50, in alphabetical order, from the same statistics."""
    published = [44, 32, 41, 35, 31, 43, 37, 38, 33, 30, 43, 49, 37, 36, 39, 36, 49, 33, 40, 36, 37, 37, 33, 45, 33, 28,
                 34, 41, 46, 34, 39, 34, 37, 44, 41, 49, 48, 44, 28, 43, 46, 31, 41, 32, 34, 33, 39, 43, 28, 35,
                 45]  # fmt: skip
    listed = (shared_data / "vifi-clip-lists" / "datasets_splits" / "ucf_splits" / "val1.txt").read_text().splitlines()
    found = Counter(line.split("_")[1].casefold() for line in listed)
    assert [found[name.casefold()] for name in sorted(FAMILIES["ucf101", "sound"]["unseen"][0])] == published


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "key", "trapped"), [("ucf101", "UCF101", 42), ("hmdb51", "HMDB51", 0), ("olympicsports16", None, 50)]
)
def test_xu_indices_hold_in_release_order_only(name, key, trapped):
    if not (XU / "Split.mat").exists():
        pytest.skip("xu-ijcv17/Split.mat is not beside the project; set ZSLBENCH_SHARED_DATA to its parent folder")
    key = key or "OlympicSports"
    load = {"squeeze_me": True, "struct_as_record": False}
    names = getattr(scipy.io.loadmat(XU / "Label.mat", **load)["VideoLabel"], key).ClassName.tolist()
    indices = getattr(scipy.io.loadmat(XU / "Split.mat", **load)["Split"], key).Test - 1  # MATLAB counts from 1
    stored = FAMILIES[name, "xu-50/50"]["unseen"]
    assert names == RECORDS[name]["classes"]
    assert changed([[names[i] for i in row] for row in indices], stored) == 0
    assert changed([[sorted(names)[i] for i in row] for row in indices], stored) == trapped


@pytest.mark.parametrize(("name", "differing"), [("ucf101", 6), ("hmdb51", 0)])
def test_e2e_and_bike_halve_different_orders(name, differing):
    classes = RECORDS[name]["classes"]
    draws = [np.random.RandomState(seed).permutation(len(classes))[: len(classes) // 2] for seed in range(10)]
    halves = {who: FAMILIES[name, f"{who}-half"]["unseen"] for who in ("e2e", "bike")}
    assert changed([[sorted(classes)[i] for i in draw] for draw in draws], halves["e2e"]) == 0
    assert changed([[classes[i] for i in draw] for draw in draws], halves["bike"]) == 0
    assert changed(halves["e2e"], halves["bike"]) == differing


def test_truze_versions_differ_by_three_classes():
    v1, v2 = (set(FAMILIES["ucf101", f"truze-{v}"]["unseen"][0]) for v in ("v1", "v2"))
    assert v1 - v2 == {"BaseballPitch", "CuttingInKitchen", "Punch"}
    assert v2 < v1
    assert FAMILIES["hmdb51", "truze-v1"]["unseen"] == FAMILIES["hmdb51", "truze-v2"]["unseen"]


def test_kinetics_zsar_trains_on_kinetics400():
    fam = FAMILIES["kinetics600", "kinetics-zsar"]
    assert fam["seen"] == [RECORDS["kinetics400"]["classes"]] * 3
    assert {len(split) for split in fam["validation"]} == {60}
    assert len(set.intersection(*map(set, fam["unseen"]))) == 80


@pytest.mark.parametrize("name", COUNTS)
def test_phrases_are_those_of_the_builder(name, builder):
    record, classes = RECORDS[name], RECORDS[name]["classes"]
    tables = {"plain", "action2vec-v1"} | ({"e2e-v1"} if name != "olympicsports16" else set())
    assert set(record["phrases"]) == tables
    assert set(record["phrase_sources"]) == tables | set(record.get("name_edits", {}))
    assert record.get("name_edits", {}).get("clip") == builder.CLIP_NAMES.get(name)
    assert record["phrases"]["plain"] == {c: builder.plain(c) for c in classes}
    assert record["phrases"]["action2vec-v1"] == {c: builder.action2vec(c) for c in classes}


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("hmdb51/brush_hair", "brush hair"),
        ("ucf101/YoYo", "yo yo"),
        ("ucf101/TaiChi", "tai chi"),
        ("ucf101/PlayingDhol", "playing dhol"),
        ("ucf101/HandstandPushups", "handstand pushups"),
        ("ucf101/UnevenBars", "uneven bars"),
        ("olympicsports16/diving_platform_10m", "diving platform 10m"),
        ("kinetics400/passing American football (in game)", "passing american football in game"),
        ("kinetics400/massaging person's head", "massaging person head"),
    ],
)
def test_plain_phrases(name, phrase):
    dataset, _, label = name.partition("/")
    assert RECORDS[dataset]["phrases"]["plain"][label] == phrase


def test_action2vec_makes_its_two_edits_and_no_other():
    edited = {}
    for record in RECORDS.values():
        plain, ours = record["phrases"]["plain"], record["phrases"]["action2vec-v1"]
        edited |= {plain[c]: ours[c] for c in record["classes"] if plain[c] != ours[c]}
    assert edited["clean and jerk"] == "weightlift"
    assert edited["walking with dog"] == "walk with dog"
    assert edited["walking the dog"] == "walk the dog"
    assert all("walking" in phrase.split() for phrase in edited if phrase != "clean and jerk")
    assert RECORDS["kinetics700"]["phrases"]["action2vec-v1"]["jaywalking"] == "jaywalking"  # not a word of its own


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (
            "ucf101",
            {
                "CleanAndJerk": "weight lift",
                "Skijet": "Skyjet",
                "HandstandPushups": "handstand pushups",
                "PushUps": "pushups",
                "PullUps": "pullups",
                "WalkingWithDog": "walk dog",
                "ThrowDiscus": "throw disc",
                "TaiChi": "taichi",
                "CuttingInKitchen": "cut kitchen",
                "YoYo": "yoyo",
                "BodyWeightSquats": "body weight squat",  # by the rule
                "HorseRiding": "horse rid",  # the rule takes the shortest lemma
            },
        ),
        ("hmdb51", {"fencing": "fence", "shake_hands": "shake hand", "flic_flac": "flic flac"}),
        (
            "kinetics400",
            {
                "clean and jerk": "weight lift",
                "dancing gangnam style": "dance korean",
                "faceplanting": "face fall",
                "eating doughnuts": "eat bun",
                "passing American football (in game)": "pass american football match",
                "passing American football (not in game)": "pass american football park",
                "playing cards": "play card",  # by the rule
                "walking the dog": "walk dog",  # by the rule: stop-words dropped
            },
        ),
        ("kinetics600", {"hugging (not baby)": "hug", "photobombing": "take picture"}),
    ],
)
def test_e2e_phrases(dataset, expected):
    table = RECORDS[dataset]["phrases"]["e2e-v1"]
    assert {c: table[c] for c in expected} == expected


ANALOGY_PAIRS = {
    "ucf101": {"two-word-80": 80, "any-position-90a": 90, "any-position-90b": 90},
    "kinetics400": {"one-noun-1540": 1540, "first-word-1720": 1720},
}
ANALOGIES = [(name, key) for name, lists in ANALOGY_PAIRS.items() for key in lists]


@pytest.mark.parametrize("name", COUNTS)
def test_only_two_datasets_have_analogy_lists_and_each_has_a_source(name):
    lists = RECORDS[name].get("analogies", {})
    assert list(lists) == list(RECORDS[name].get("analogy_sources", {})) == list(ANALOGY_PAIRS.get(name, {}))


@pytest.mark.parametrize(("name", "key"), ANALOGIES)
def test_an_analogy_list_has_its_number_of_ordered_pairs_of_two_classes(name, key):
    groups = RECORDS[name]["analogies"][key]
    pairs = [(a, b) for group in groups.values() for a in group.values() for b in group.values() if a != b]
    assert len(pairs) == ANALOGY_PAIRS[name][key]
    assert {c for pair in pairs for c in pair} <= set(RECORDS[name]["classes"])


@pytest.mark.parametrize(("name", "key"), ANALOGIES)
def test_the_nouns_of_an_analogy_list_are_words_of_their_class_and_differ_from_the_verb(name, key):
    plain = RECORDS[name]["phrases"]["plain"]
    for verb, group in RECORDS[name]["analogies"][key].items():
        for noun, label in group.items():
            words = plain[label].split()
            assert noun.split(), label
            assert set(noun.split()) < set(words), (noun, label)
            assert noun != verb


def test_minilm_covers_every_plain_phrase_with_unit_vectors():
    with np.load(DATA / "minilm.npz", allow_pickle=False) as arrays:
        phrases, vectors = arrays["phrases"].tolist(), arrays["vectors"]
    wanted = {name: set(record["phrases"]["plain"].values()) for name, record in RECORDS.items()}
    assert phrases == sorted({*phrases}.union(*wanted.values()))
    assert vectors.shape == (len(phrases), 384)
    assert vectors.dtype == np.float16
    assert np.abs(np.linalg.norm(vectors.astype(np.float64), axis=1) - 1).max() < 1e-3
    for listed in wanted.values():
        assert len({vectors[phrases.index(phrase)].tobytes() for phrase in listed}) == len(listed)


def test_minilm_matches_its_card():
    card = json.loads((DATA / "minilm.json").read_text(encoding="utf-8"))
    assert card["npz_sha256"] == hashlib.sha256((DATA / "minilm.npz").read_bytes()).hexdigest()
    with np.load(DATA / "minilm.npz", allow_pickle=False) as arrays:
        assert card["phrases"] + card["words"] == len(arrays["phrases"])
    assert (card["model"], card["licence"], card["phrase_table"]) == ("all-MiniLM-L6-v2", "Apache-2.0", "plain")


@pytest.mark.parametrize("name", COUNTS)
def test_the_reader_agrees_with_the_file(name):
    dataset, record = getattr(zslbench_datasets, name)(), RECORDS[name]
    assert (dataset.name, list(dataset.classes), dataset.n_videos) == (name, record["classes"], record["videos"])
    assert list(dataset.stored_families) == [fam["name"] for fam in record["families"]]
    for fam in record["families"]:
        assert changed([split.unseen for split in dataset.family(fam["name"]).splits], fam["unseen"]) == 0
    assert dataset.vectors["minilm"].exists()
    assert dataset.analogies == record.get("analogies", {})
    assert dataset.analogy_sources == record.get("analogy_sources", {})
