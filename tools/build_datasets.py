"""Build ``datasets/data/*.json`` from a folder of facts (class lists, released splits).

Run ``python tools/build_datasets.py FACTS --wordnet DIR``. ``DIR`` contains WordNet 3.0's ``index.verb`` and
``verb.exc`` (NLTK's ``corpora/wordnet``, or Debian's package ``wordnet-base``). Only the build needs them; the phrases
are stored. Splits are stored by class name, in the dataset's canonical order. Every claim in a note is checked here.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analogy_lists import Form, analogies

OUT = Path(__file__).resolve().parents[1] / "datasets" / "data"

CARDS = {
    "hmdb51": {
        "display_name": "HMDB51",
        "citation": "Kuehne, Jhuang, Garrote, Poggio, Serre. HMDB: A Large Video Database for Human Motion "
        "Recognition. ICCV 2011",
        "homepage": "https://serre.lab.brown.edu/hmdb51.html",
    },
    "ucf101": {
        "display_name": "UCF101",
        "citation": "Soomro, Zamir, Shah. UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild. "
        "arXiv:1212.0402, 2012",
        "homepage": "https://www.crcv.ucf.edu/data/UCF101.php",
    },
    "olympicsports16": {
        "display_name": "Olympic Sports",
        "citation": "Niebles, Chen, Fei-Fei. Modeling Temporal Structure of Decomposable Motion Segments for Activity "
        "Classification. ECCV 2010",
        "homepage": "http://vision.stanford.edu/Datasets/OlympicSports/",
    },
    "kinetics400": {
        "display_name": "Kinetics-400",
        "citation": "Kay et al. The Kinetics Human Action Video Dataset. arXiv:1705.06950, 2017",
        "homepage": "https://github.com/cvdfoundation/kinetics-dataset",
    },
    "kinetics600": {
        "display_name": "Kinetics-600",
        "citation": "Carreira, Noland, Banki-Horvath, Hillier, Zisserman. A Short Note about Kinetics-600. "
        "arXiv:1808.01340, 2018",
        "homepage": "https://github.com/cvdfoundation/kinetics-dataset",
    },
    "kinetics700": {
        "display_name": "Kinetics-700",
        "citation": "Carreira, Noland, Hillier, Zisserman. A Short Note on the Kinetics-700 Human Action Dataset. "
        "arXiv:1907.06987, 2019",
        "homepage": "https://github.com/cvdfoundation/kinetics-dataset",
    },
}

# E2E's published edits (the words that it looks up instead of the class name), kept as published. "skyjet" is a guess
# at a word that word2vec knows, "ty knot" a mistake.
E2E_UCF101 = {
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
}
E2E_KINETICS = {
    "clean and jerk": "weight lift",
    "dancing gangnam style": "dance korean",
    "breading or breadcrumbing": "bread crumb",
    "eating doughnuts": "eat bun",
    "faceplanting": "face fall",
    "hoverboarding": "skateboard electric",
    "hurling (sport)": "hurl sport",
    "jumpstyle dancing": "jumping dance",
    # E2E's own label file was cut at the quotation mark; its entry for the rest ("s head...") can only be this class.
    "massaging person's head": "head",
    "passing American football (in game)": "pass american football match",
    "passing American football (not in game)": "pass american football park",
    "petting animal (not cat)": "pet animal",
    "punching person (boxing)": "punch person boxing",
    "shooting goal (soccer)": "shoot goal soccer",
    "skiing (not slalom or crosscountry)": "ski",
    "throwing axe": "throwing ax",
    "tying knot (not on a tie)": "ty knot",
    "using remote controller (not gaming)": "remote control",
    "backflip (human)": "backflip human",
    "blowdrying hair": "dry hair",
    "making paper aeroplanes": "make paper airplane",
    "mixing colours": "mix colors",
    "photobombing": "take picture",
    "playing rubiks cube": "play cube",
    "pretending to be a statue": "pretend statue",
    "throwing ball (not baseball or American football)": "throw ball",
    "curling (sport)": "curling sport",
}
E2E_KINETICS_STOP_WORDS = {"a", "the", "of", "and", "at", "on", "in", "an", "or", "do", "using", "with"}

PHRASE_SOURCES = {
    "plain": "The class name as words: CamelCase and underscores split, lower case, a possessive 's and punctuation "
    "dropped, numbers kept.",
    "action2vec-v1": "plain, with the only two edits that the paper states (Hahn, Silva, Rehg, arXiv:1901.00484): "
    "the word 'walking' becomes 'walk' and 'clean and jerk' becomes 'weightlift'. Its full table is not public.",
}
# The class names of CLIP's released prompts, where they are not the spaced ones (of Kinetics-700 none differs).
CLIP_NAMES = {"ucf101": {"HandstandPushups": "Hand Stand Pushups"}, "kinetics700": {}}
CLIP_SOURCE = (
    "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021: data/prompts.md "
    "of github.com/openai/CLIP at e184f608. The names as words, capitals kept."
)
E2E_SOURCE = (
    "Brattoli et al., Rethinking Zero-Shot Video Classification (E2E), CVPR 2020: auxiliary/auxiliary_word2vec.py of "
    "github.com/bbrattoli/ZeroShotVideoClassification at 39c8bafa, edits and rule carried over as published. {rule} A "
    "word that has a verb synset in WordNet 3.0 becomes its shortest verb lemma, as NLTK's lemmatiser has it: 'riding' "
    "becomes 'rid', 'staring' 'star', 'dining' 'din', 'wading' 'wad'."
)
E2E_RULES = {
    "ucf101": "Ten class names are edited, the others split on capitals and lower-cased.",
    "hmdb51": "Underscores split; no edit applies.",
    "kinetics": "Edited names are taken as listed; elsewhere stop-words and everything from '(not' on are dropped. "
    "E2E trained on Kinetics-400 and 700; Kinetics-600 follows the same table. 'massaging person's head' takes the "
    "entry that E2E has for the remainder of that name in its label file.",
}

XU_SOURCE = "Xu, Hospedales, Gong. Transductive Zero-Shot Action Recognition by Word-Vector Embedding. IJCV 2017: "
NOT_COMPARABLE = (
    " The method's authors train on Kinetics and only test on these halves; here the remaining classes of the same "
    "dataset are the seen ones, so figures are not comparable with theirs."
)

# Checked against the statistics that MTEB publishes of its task (commit a905523d,
# mteb/descriptive_stats/VideoZeroshotClassification/UCF101VideoZeroShotClassification.json): the 51 numbers of test
# videos, in alphabetical order, are those of these classes on test list 1, and so is the total length of the prompts.
UCF101_WITH_SOUND = [
    "ApplyEyeMakeup", "ApplyLipstick", "Archery", "BabyCrawling", "BalanceBeam", "BandMarching",
    "BasketballDunk", "BlowDryHair", "BlowingCandles", "BodyWeightSquats", "Bowling", "BoxingPunchingBag",
    "BoxingSpeedBag", "BrushingTeeth", "CliffDiving", "CricketBowling", "CricketShot", "CuttingInKitchen",
    "FieldHockeyPenalty", "FloorGymnastics", "FrisbeeCatch", "FrontCrawl", "Haircut", "Hammering",
    "HammerThrow", "HandstandPushups", "HandstandWalking", "HeadMassage", "IceDancing", "Knitting", "LongJump",
    "MoppingFloor", "ParallelBars", "PlayingCello", "PlayingDaf", "PlayingDhol", "PlayingFlute", "PlayingSitar",
    "Rafting", "ShavingBeard", "Shotput", "SkyDiving", "SoccerPenalty", "StillRings", "SumoWrestling",
    "Surfing", "TableTennisShot", "Typing", "UnevenBars", "WallPushups", "WritingOnBoard",
]  # fmt: skip
SOUND_SOURCE = (
    "Mercea, Riesch, Koepke, Akata. Audio-visual Generalised Zero-shot Learning with Cross-modal Attention and "
    "Language. CVPR 2022: github ExplainableML/AVCA-GZSL commit 2711aeb5 avgzsl_benchmark_datasets/UCF/class-split "
    "(UCF-GZSL, all classes of its CSV files)"
)
SOUND_NOTE = (
    "Unseen: the 51 classes whose videos have sound. MTEB's UCF101VideoZeroShotClassification offers these, tests list "
    "1, and writes the names in CamelCase ('a video of ApplyEyeMakeup'). It trains on none; here the other 50 are seen."
)


def plain(name: str) -> str:
    """Return a class name as lower-case words.

    >>> plain("TaiChi"), plain("passing American football (in game)"), plain("massaging person's head")
    ('tai chi', 'passing american football in game', 'massaging person head')
    """
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.findall(r"[a-z0-9]+", split.lower().replace("'s ", " ")))


def action2vec(name: str) -> str:
    """Return the plain phrase with Action2Vec's two stated edits."""
    return re.sub(r"\bwalking\b", "walk", plain(name)).replace("clean and jerk", "weightlift")


def verb_lemmatiser(wordnet: Path) -> Callable[[str], str]:
    """Return WordNet's verb morphology as in NLTK: the shortest lemma, or the word itself if it is not a verb.

    It needs only two files of WordNet, and neither NLTK nor its data.
    """
    index = (wordnet / "index.verb").read_text().splitlines()
    verbs = {line.split(" ", 1)[0] for line in index if not line.startswith(" ")}
    exceptions = {word: lemmas for word, *lemmas in map(str.split, (wordnet / "verb.exc").read_text().splitlines())}
    endings = ("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")

    def lemma(word: str) -> str:
        ruled = [word.removesuffix(old) + new for old, new in endings if word.endswith(old)]
        found = [form for form in (word, *exceptions.get(word, ruled)) if form in verbs]
        return min(found, key=len, default=word)

    return lemma


def e2e(dataset: str, name: str, lemma: Callable[[str], str]) -> str:
    """Return the phrase by E2E's published table and rule."""
    if dataset == "ucf101":
        edits, words = E2E_UCF101, plain(name).split()
    elif dataset == "hmdb51":
        edits, words = {}, name.split("_")
    else:
        kept = [word for word in name.lower().split() if word not in E2E_KINETICS_STOP_WORDS]
        kept = kept[: kept.index("(not")] if "(not" in kept else kept
        edits, words = E2E_KINETICS, [word.strip("()") for word in kept]
    return edits.get(name) or " ".join(map(lemma, words))


def phrases(dataset: str, classes: list[str], lemma: Callable[[str], str]) -> dict[str, Any]:
    """Return the phrase tables of a dataset with their sources."""
    tables = {"plain": {c: plain(c) for c in classes}, "action2vec-v1": {c: action2vec(c) for c in classes}}
    sources = dict(PHRASE_SOURCES)
    if dataset != "olympicsports16":
        tables["e2e-v1"] = {c: e2e(dataset, c, lemma) for c in classes}
        sources["e2e-v1"] = E2E_SOURCE.format(rule=E2E_RULES.get(dataset, E2E_RULES["kinetics"]))
    found: dict[str, Any] = {"phrases": tables, "phrase_sources": sources}
    if dataset in CLIP_NAMES:
        check(set(CLIP_NAMES[dataset]) <= set(classes), f"{dataset}: CLIP's names are of other classes")
        found["name_edits"] = {"clip": CLIP_NAMES[dataset]}
        sources["clip"] = CLIP_SOURCE
    return found


def family(name: str, source: str, note: str, unseen: list[list[str]], **other: Any) -> dict[str, Any]:
    """Return one split family; ``seen`` null means all other classes of the dataset."""
    return {
        "name": name,
        "source": source,
        "note": note,
        "seen_dataset": other.get("seen_dataset"),
        "unseen": unseen,
        "seen": other.get("seen"),
        "validation": other.get("validation"),
    }


def xu_family(key: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return Xu's 50 splits of one dataset."""
    unseen = facts["xu_50_splits_by_name"][key]["unseen"]
    note = "The field's canonical 50 splits."
    if key == "UCF101":
        note += " 47 are distinct: splits 6, 7, 8 (counted from 0) repeat 0, 1, 2."
    distinct = len({frozenset(split) for split in unseen})
    check(distinct == (47 if key == "UCF101" else 50), f"{key}: {distinct} distinct splits")
    check(key != "UCF101" or unseen[6:9] == unseen[:3], "UCF101: splits 6, 7, 8 are not 0, 1, 2")
    return family("xu-50/50", XU_SOURCE + facts["xu_50_splits_by_name"]["source"], note, unseen)


def truze_families(dataset: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return TruZe's two versions, which are equal on HMDB51."""
    truze = facts["truze_splits"]
    source = f"Gowda et al. A New Split for Evaluating True Zero-Shot Action Recognition. GCPR 2021: {truze['source']}"
    notes = {
        "v1": "67 seen, 34 unseen: the version of the paper's tables.",
        "v2": "70 seen, 31 unseen: the version of the authors' repository, where BaseballPitch, CuttingInKitchen and "
        "Punch are seen.",
    }
    keys = {"v1": "UCF101_v1_67_34", "v2": "UCF101_v2_70_31"}
    if dataset == "hmdb51":
        keys = dict.fromkeys(keys, "HMDB51_29_22")
        notes = dict.fromkeys(notes, "29 seen, 22 unseen: truze-v1 and truze-v2 are the same on HMDB51.")
    else:
        moved = set(truze[keys["v1"]]["test"]) - set(truze[keys["v2"]]["test"])
        check(moved == {"BaseballPitch", "CuttingInKitchen", "Punch"}, f"TruZe: {moved} moved")
    for key in keys.values():
        test, train = truze[key]["test"], truze[key]["train"]
        check(sorted(test + train) == sorted(facts["classes"][dataset]["classes"]), f"{key} is no partition")
    return [family(f"truze-{v}", source, notes[v], [truze[key]["test"]]) for v, key in keys.items()]


def half_families(dataset: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ten seeded halves on which E2E and BIKE (and Text4Vis) test.

    Both draw the same indices. But E2E indexes sorted folder names, and BIKE's lists are in the official order, so the
    same index can be another class.
    """
    halves = facts["e2e_half_class_indices_seed0_9"]
    classes = facts["classes"][dataset]["classes"]
    names = {"e2e": sorted(classes), "bike": classes}
    unseen = {who: [[order[i] for i in half] for half in halves[dataset.upper()]] for who, order in names.items()}
    differing = sum(set(a) != set(b) for a, b in zip(unseen["e2e"], unseen["bike"], strict=True))
    check(differing == (6 if dataset == "ucf101" else 0), f"{dataset}: {differing} halves differ")
    orders = {
        "e2e": "sorted class names, as in E2E's code",
        "bike": "the official order, as in BIKE's and Text4Vis' lists",
    }
    against = f" e2e-half and bike-half draw the same indices and differ in {differing} of 10 halves."
    return [
        family(f"{who}-half", halves["source"], f"Indices into {order}.{against}{NOT_COMPARABLE}", unseen[who])
        for who, order in orders.items()
    ]


def kinetics_family(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the three splits that train on Kinetics-400 and test on classes new in Kinetics-600."""
    zsar = facts["kinetics_zsar_3_splits"]
    train, new = zsar["train_400"], set(zsar["new_220"])
    check(sorted(train) == sorted(facts["classes"]["kinetics400"]["classes"]), "the 400 names are not Kinetics-400's")
    check(not new & set(train), "new classes among the 400")
    unlisted = set(facts["classes"]["kinetics600"]["classes"]) - set(train) - new
    check(len(unlisted) == 12, f"{len(unlisted)} further names are new in Kinetics-600")
    for test, val in zip(zsar["test_160"], zsar["val_60"], strict=True):
        check(len(test) == 160 and len(val) == 60 and set(test) | set(val) == new, "160 + 60 is not the 220")
    common = len(set.intersection(*map(set, zsar["test_160"])))
    check(common == 80, f"{common} classes common to the three test sets")
    note = (
        "Seen: the 400 names of Kinetics-400. Unseen: 160 of the 220 classes that Elaborative Rehearsal takes as new "
        "in Kinetics-600 (12 more are new in name, as renamed or narrowed ones); validation: the other 60. The three "
        "test sets share 80 classes, so the spread over the three splits understates."
    )
    source = f"Chen, Huang. Elaborative Rehearsal for Zero-shot Action Recognition. ICCV 2021: {zsar['source']}"
    other = {"seen_dataset": "kinetics400", "seen": [train] * 3, "validation": zsar["val_60"]}
    return family("kinetics-zsar", source, note, zsar["test_160"], **other)


def families(dataset: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the split families of a dataset."""
    if dataset == "kinetics600":
        return [kinetics_family(facts)]
    xu = {"hmdb51": "HMDB51", "ucf101": "UCF101", "olympicsports16": "OlympicSports"}.get(dataset)
    found = [xu_family(xu, facts)] if xu else []
    if dataset == "ucf101":
        bidilel = facts["ucf101_81_20_bidilel_30"]
        source = "Wang, Chen. Zero-Shot Visual Recognition via Bidirectional Latent Embedding. IJCV 2017: "
        note = "30 random splits, 81 seen and 20 unseen classes; the only public 80/20 set that we know of."
        found.append(family("bidilel-80/20", source + bidilel["source"], note, bidilel["unseen"]))
    if dataset in ("hmdb51", "ucf101"):
        found += truze_families(dataset, facts) + half_families(dataset, facts)
    if dataset == "ucf101":
        check(len(UCF101_WITH_SOUND) == 51, "there are not 51 classes with sound")
        found.append(family("sound", SOUND_SOURCE, SOUND_NOTE, [UCF101_WITH_SOUND]))
    return found


def check(holds: bool, message: str) -> None:
    """Stop the build if a claim is false (``python -O`` would remove an ``assert``)."""
    if not holds:
        raise SystemExit(f"refused: {message}")


def check_record(record: dict[str, Any]) -> None:
    """Check one dataset: names, counts, order and distinct phrases."""
    name, classes = record["name"], record["classes"]
    check(len(classes) == len(set(classes)) == int(re.sub(r"\D", "", name)), f"{name}: {len(classes)} classes")
    if name != "olympicsports16":  # its release has the classes in no alphabetical order
        check(classes == sorted(classes, key=str.lower), f"{name}: not in the official, case-insensitive order")
    if record["videos_per_class"]:
        check(list(record["videos_per_class"]) == classes, f"{name}: videos_per_class names other classes")
        check(sum(record["videos_per_class"].values()) == record["videos"], f"{name}: videos do not add up")
    for fam in record["families"]:
        for i, unseen in enumerate(fam["unseen"]):
            parts = unseen + (fam["validation"][i] if fam["validation"] else [])
            check(set(parts) <= set(classes) and len(parts) == len(set(parts)), f"{name} {fam['name']} {i}: names")
            check(not fam["seen"] or not set(parts) & set(fam["seen"][i]), f"{name} {fam['name']} {i}: overlap")
    for key, groups in record.get("analogies", {}).items():
        used = [c for group in groups.values() for c in group.values()]
        check(set(used) <= set(classes) and all(map(all, groups.values())), f"{name} {key}: a class or a noun is none")
    for table, entries in record["phrases"].items():
        check(list(entries) == classes and all(entries.values()), f"{name} {table}: not every class has a phrase")
        twice = [phrase for phrase, n in Counter(entries.values()).items() if n > 1]
        check(not twice, f"{name} {table}: {twice} stand for two classes")


def layout(value: Any, indent: str = "") -> str:
    """Return JSON with one class or one split per line, so that a change is a short diff."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        rows = [f"{inner}{json.dumps(k, ensure_ascii=False)}: {layout(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, list) and value:
        rows = [inner + (layout(v, inner) if isinstance(v, dict) else json.dumps(v, ensure_ascii=False)) for v in value]
        return "[\n" + ",\n".join(rows) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False)


def build(name: str, facts: dict[str, Any], lemma: Callable[[str], str]) -> dict[str, Any]:
    """Return one dataset's record, splits in canonical order."""
    listed = facts["classes"][name]
    release, label_maps = facts["classes"]["source"].split("; ")
    rank = {c: i for i, c in enumerate(listed["classes"])}
    found = families(name, facts)
    for fam in found:
        for part in ("unseen", "validation"):
            fam[part] = fam[part] and [sorted(split, key=rank.__getitem__) for split in fam[part]]
    return {
        "name": name,
        "display_name": CARDS[name]["display_name"],
        "source": label_maps if name.startswith("kinetics") else release,
        "citation": CARDS[name]["citation"],
        "homepage": CARDS[name]["homepage"],
        "classes": listed["classes"],
        "videos_per_class": listed.get("videos_per_class"),
        "videos": listed.get("videos"),
        **phrases(name, listed["classes"], lemma),
        **analogies(name, listed["classes"], facts["analogy_groups"], Form(plain, lemma)),
        "families": found,
    }


def main() -> None:
    """Write one file per dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("facts", type=Path, help="folder of classes.json, xu_50_splits_by_name.json and the others")
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with WordNet 3.0's index.verb and verb.exc")
    args = parser.parse_args()
    facts = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(args.facts.glob("*.json"))}
    lemma = verb_lemmatiser(args.wordnet)
    for name in CARDS:
        record = build(name, facts, lemma)
        check_record(record)
        (OUT / f"{name}.json").write_text(layout(record) + "\n", encoding="utf-8")
        counts = ", ".join(f"{fam['name']} x {len(fam['unseen'])}" for fam in record["families"])
        print(f"{name}: {len(record['classes'])} classes; {counts or 'no split families'}")


if __name__ == "__main__":
    main()
