"""What the shipped class descriptions claim: coverage, form, one sense, no class named by another's attributes.

The JSON files are read as they are, so that a fault here is a fault of the data and not of the reader.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import zslbench_datasets
from zslbench.digests import file_sha256

DATA = Path(__file__).resolve().parents[2] / "datasets" / "data"
NAMES = ("hmdb51", "ucf101", "kinetics400")
RECORDS = {name: json.loads((DATA / "texts" / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}
PHRASES = {name: json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))["phrases"]["plain"] for name in NAMES}
KINDS = ["objects", "scene", "body", "actions"]
SOURCES = ("minilm-definition", "minilm-attributes", "minilm-name-attributes")

# An attribute of one class may hold the name of another only here, each for its reason.
NAMED_ON_PURPOSE = {
    (
        "kinetics400",
        "playing cymbals",
        "marching",
    ): "a marching band is where cymbals are seen, and nobody else's scene",
}

# Words of the senses that a class does not have in its dataset's videos: they must be nowhere in its texts.
TRAPS = {
    "hmdb51": {
        "catch": "fish disease fastener",
        "chew": "tobacco dog",
        "climb_stairs": "ladder rope",
        "dive": "bar nosedive scuba aircraft",
        "draw_sword": "pencil sketch paper drawing curtain",
        "dribble": "saliva drool drip chin baby",
        "fencing": "garden picket wire farm",
        "hit": "song chart hitman",
        "kick": "football ball drug",
        "pick": "guitar pickaxe choose nose lock",
        "pour": "rain concrete crowd",
        "punch": "drink bowl fruit paper hole",
        "push": "button childbirth shove-it",
        "run": "tights election business company",
        "shoot_ball": "gun camera film soccer",
        "shoot_bow": "ribbon ship tie",
        "smoke": "fire chimney ham",
        "stand": "market stall tolerate",
        "sword_exercise": "homework math",
        "turn": "turnip page queue key",
        "wave": "sea ocean surf hair",
    },
    "ucf101": {
        "Archery": "gift ribbon violin",
        "BandMarching": "wristband ribbon rubber",
        "Basketball": "wicker basket laundry",
        "BalanceBeam": "light laser scales timber",
        "Bowling": "soup batsman wicket cricket",
        "CricketBowling": "insect pin alley",
        "CricketShot": "insect gun vaccine needle",
        "Diving": "scuba mask reef",
        "Drumming": "ear barrel oil",
        "Fencing": "garden picket wire",
        "Hammering": "throw athlete shark",
        "HammerThrow": "nail carpenter wood",
        "HorseRiding": "pommel bicycle",
        "Lunges": "dog sword fencing",
        "MilitaryParade": "float carnival",
        "Mixing": "music console audio paint concrete dj",
        "ParallelBars": "drink chocolate pub geometry",
        "PlayingDhol": "lentil doll",
        "PlayingFlute": "champagne glass",
        "PommelHorse": "saddle gallop stable rider",
        "Punch": "drink fruit bowl paper hole",
        "Rowing": "quarrel argument spreadsheet",
        "SalsaSpin": "tomato sauce chips dip",
        "Shotput": "gun vodka liquor vaccine needle photograph",
        "Skijet": "snow slope skis",
        "Skiing": "water jet boat",
        "SoccerPenalty": "court fine prison",
        "StillRings": "wedding jewel diamond finger phone",
        "Swing": "golf bat racket mood jazz dance",
        "TableTennisShot": "food meal plate dining drink gun baseball",
        "TaiChi": "tea latte",
        "TrampolineJumping": "rope",
        "UnevenBars": "drink chocolate pub",
        "WritingOnBoard": "ship surfboard skateboard",
        "YoYo": "cellist cello",
    },
    "kinetics400": {
        "air drumming": "kit cymbals",
        "bartending": "lawyer court",
        "bending metal": "guitar music band",
        "blowing glass": "window drinking mirror",
        "blowing leaves": "page tea departs",
        "busking": "corn husk",
        "capoeira": "caper cape goat",
        "changing oil": "painting canvas frying olive",
        "checking tires": "weariness bank",
        "country line dancing": "nation border queue",
        "cracking neck": "bottle guitar nut egg",
        "crossing river": "crucifix",
        "dodgeball": "car pickup gown",
        "drop kicking": "drug raindrop",
        "egg hunting": "rifle deer",
        "headbanging": "wall injury",
        "hockey stop": "bus puck goal",
        "hurling (sport)": "vomit",
        "jumpstyle dancing": "rope trampoline",
        "krumping": "grumpy crumb",
        "making bed": "carpenter flower truck",
        "passing American football (in game)": "exam soccer",
        "playing controller": "accountant",
        "playing organ": "liver heart kidney",
        "playing recorder": "tape microphone camera",
        "pumping gas": "cooking stove balloon",
        "robot dancing": "factory vacuum",
        "salsa dancing": "tomato sauce chips",
        "shot put": "gun liquor vaccine photograph",
        "shredding paper": "guitar snowboard",
        "surfing crowd": "wave ocean surfboard",
        "swing dancing": "playground seat chains",
        "swinging on something": "golf bat jazz",
        "tapping guitar": "faucet water beer",
        "tying tie": "draw score railway",
        "vault": "bank safe money burial",
        "waxing chest": "candle treasure floor",
    },
}


def attributes(texts):
    return [text for kind in texts["attributes"].values() for text in kind]


def each_class(function):
    """Run a test on every class, and fail with the list of those that it is false of."""

    @pytest.mark.parametrize("dataset", NAMES)
    def test(dataset):
        faults = {name: fault for name, texts in RECORDS[dataset]["classes"].items() if (fault := function(texts))}
        assert faults == {}

    test.__name__ = function.__name__
    return test


def named(dataset):
    """Return (class, attribute, other class) where the other's plain phrase stands in the attribute as whole words."""
    texts, phrases = RECORDS[dataset]["classes"], PHRASES[dataset]
    return {
        (name, text, other)
        for name in texts
        for text in attributes(texts[name])
        for other, phrase in phrases.items()
        if other != name and phrase in text.lower() and re.search(rf"\b{re.escape(phrase)}\b", text.lower())
    }


@pytest.mark.parametrize("dataset", NAMES)
def test_every_class_has_texts_in_the_datasets_order(dataset):
    assert RECORDS[dataset]["dataset"] == dataset
    assert RECORDS[dataset]["licence"] == "Apache-2.0, written for zslbench"
    assert list(RECORDS[dataset]["classes"]) == list(PHRASES[dataset])


@each_class
def test_eight_different_attributes_two_a_kind(texts):
    kinds = texts["attributes"]
    return list(kinds) != KINDS or [len(k) for k in kinds.values()] != [2] * 4 or len(set(attributes(texts))) != 8


@each_class
def test_definitions_are_one_sentence_of_8_to_20_words(texts):
    sentence = texts["definition"]
    return not (8 <= len(sentence.split()) <= 20 and re.fullmatch(r"[A-Z][^.!?]*\.", sentence)) and sentence


@each_class
def test_attributes_have_1_to_4_words_and_plain_letters(texts):
    return [t for t in attributes(texts) if not re.fullmatch(r"[A-Za-z][A-Za-z'-]*( [A-Za-z][A-Za-z'-]*){0,3}", t)]


@each_class
def test_texts_are_ascii(texts):
    return [text for text in (texts["definition"], *attributes(texts)) if not text.isascii()]


@pytest.mark.parametrize("dataset", NAMES)
def test_no_two_classes_are_described_alike(dataset):
    by_definition, by_attributes = defaultdict(list), defaultdict(list)
    for name, texts in RECORDS[dataset]["classes"].items():
        by_definition[texts["definition"].lower()].append(name)
        by_attributes[frozenset(map(str.lower, attributes(texts)))].append(name)
    assert [names for names in (*by_definition.values(), *by_attributes.values()) if len(names) > 1] == []
    sets = list(by_attributes)
    alike = [by_attributes[a] + by_attributes[b] for i, a in enumerate(sets) for b in sets[:i] if len(a & b) > 4]
    assert alike == []  # not even more than half


@pytest.mark.parametrize("dataset", NAMES)
def test_no_attribute_names_another_class_by_mistake(dataset):
    allowed = {(name, other) for data, name, other in NAMED_ON_PURPOSE if data == dataset}
    found = named(dataset)
    assert {each for each in found if (each[0], each[2]) not in allowed} == set()
    assert allowed == {(name, other) for name, _, other in found}  # no reason is kept for what is gone


@pytest.mark.parametrize("dataset", NAMES)
def test_texts_are_free_of_the_words_of_other_senses(dataset):
    assert set(TRAPS[dataset]) <= set(PHRASES[dataset])
    faults = {}
    for name, words in TRAPS[dataset].items():
        texts = RECORDS[dataset]["classes"][name]
        said = " ".join([texts["definition"], *attributes(texts)]).lower()
        if found := [word for word in words.split() if re.search(rf"\b{word}(s|es)?\b", said)]:
            faults[name] = found
    assert faults == {}


def test_vectors_are_of_the_texts_as_they_are_now():
    """Whoever changes a text without running tools/build_text_vectors.py sees this fail."""
    rows = [(data, name, texts) for data in sorted(NAMES) for name, texts in RECORDS[data]["classes"].items()]
    for source in SOURCES:
        card = json.loads((DATA / f"{source}.json").read_text(encoding="utf-8"))
        assert card["npz_sha256"] == file_sha256(DATA / f"{source}.npz")
        assert card["texts_sha256"] == {name: file_sha256(DATA / "texts" / f"{name}.json") for name in sorted(NAMES)}
        with np.load(DATA / f"{source}.npz", allow_pickle=False) as arrays:
            assert list(zip(arrays["datasets"], arrays["names"], strict=True)) == [row[:2] for row in rows]
            assert arrays["vectors"].shape == (552, 384)
            if source == "minilm-definition":
                assert arrays["texts"].tolist() == [texts["definition"] for *_, texts in rows]
            if source == "minilm-attributes":
                assert arrays["texts"].tolist() == [attributes(texts) for *_, texts in rows]
                assert arrays["attributes"].shape == (552, 8, 384)


def test_attribute_vectors_are_means_of_unit_vectors():
    with np.load(DATA / "minilm-attributes.npz", allow_pickle=False) as arrays:
        each, means = arrays["attributes"].astype(float), arrays["vectors"].astype(float)
    np.testing.assert_allclose(np.linalg.norm(each, axis=2), 1, atol=2e-3)  # float16
    expected = np.zeros_like(means)
    for i, rows in enumerate(each):  # a loop, apart from the tool's own way
        for row in rows:
            expected[i] += row / np.sqrt((row**2).sum()) / 8
        expected[i] /= np.sqrt((expected[i] ** 2).sum())
    np.testing.assert_allclose(means, expected, atol=2e-4)


def test_name_and_attribute_vectors_lie_in_the_middle_of_both():
    dataset = zslbench_datasets.ucf101()
    with np.load(DATA / "minilm-name-attributes.npz", allow_pickle=False) as arrays:
        both = arrays["vectors"][arrays["datasets"] == "ucf101"].astype(float)
    with np.load(DATA / "minilm-attributes.npz", allow_pickle=False) as arrays:
        described = arrays["vectors"][arrays["datasets"] == "ucf101"].astype(float)
    with np.load(DATA / "minilm.npz", allow_pickle=False) as arrays:
        row = dict(zip(arrays["phrases"].tolist(), arrays["vectors"].astype(float), strict=True))
    named_ = np.array([row[dataset.phrase(name)] for name in dataset.classes])
    cosines = [np.einsum("ij,ij->i", both, each) for each in (described, named_)]
    np.testing.assert_allclose(cosines[0], cosines[1], atol=2e-3)
    assert (cosines[0] > np.einsum("ij,ij->i", described, named_)).all()
