"""Build ``datasets/data/video_lists/*.json.gz`` from the public lists of training and test videos.

Run ``python tools/build_video_lists.py CLIP_LISTS OFFICIAL``. ``CLIP_LISTS`` contains ``datasets_splits`` and
``labels`` of github.com/muzairkhattak/ViFi-CLIP. ``OFFICIAL`` contains the distributed files in ``ucf101_splits``
(``trainlist01.txt``, ...) and ``hmdb51_splits`` (``brush_hair_test_split1.txt``, ...), as ``data`` of
github.com/yjxiong/temporal-segment-networks does.

Each claim that the sources make twice is checked here: the test lists of both sources are equal, and the test videos of
the base-to-novel lists are those of list 1. Each file has its ids once, and per list one character per video.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "datasets" / "data"
CLIP = "github.com/muzairkhattak/ViFi-CLIP (ICCV 2023) at dea0d7e7, datasets_splits/"
MIRROR = ", as in github.com/yjxiong/temporal-segment-networks at 2c5e5e7c; the test side equals ViFi-CLIP's val{0}.txt"
OFFICIAL = {
    "ucf101": "Soomro, Zamir, Shah. UCF101, 2012: trainlist{0:02}.txt and testlist{0:02}.txt" + MIRROR,
    "hmdb51": "Kuehne et al. HMDB, ICCV 2011: testTrainMulti_7030_splits/*_test_split{0}.txt" + MIRROR,
}
SIZES = {  # train and test videos of each official list
    "ucf101": [(9537, 3783), (9586, 3734), (9624, 3696)],
    "hmdb51": [(3570, 1530)] * 3,
}
FOLDERS = {"ucf101": "ucf_splits", "hmdb51": "hmdb_splits", "kinetics400": "k400_splits", "kinetics600": "k600_splits"}
SHOTS = (2, 4, 8, 16)
# ViFi-CLIP's label files of HMDB51 give these names to each other's videos. The class of a video is the official one.
SWAPPED = {"kick": "kick_ball", "kick_ball": "kick", "sword": "sword_exercise", "sword_exercise": "sword"}
COUNTS = {  # of the test videos of kinetics-zsar-1, -2, -3: links to videos die
    "LoCATe's CSV files": (14_131, 14_078, 14_167),
    "BIKE's lists": (14_119, 14_067, 14_161),
    "ViFi-CLIP's lists, as shipped": (14_084, 13_978, 14_136),
}
Sides = dict[str, str]  # video -> 1 train, 2 test


def check(holds: bool, message: str) -> None:
    """Stop the build if a claim is false."""
    if not holds:
        raise SystemExit(f"refused: {message}")


def lines(path: Path) -> list[tuple[str, str]]:
    """Return the file name without suffix, and the label behind it, of each line."""
    found = [line.strip().rpartition(" ") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [(Path(name.strip() or label).stem, label) for name, _, label in found]


def stems(path: Path) -> list[str]:
    """Return the videos of a file, each once."""
    names = [name for name, _ in lines(path)]
    check(len(names) == len(set(names)), f"{path} has a video twice")
    return names


def names_of(path: Path, classes: list[str]) -> list[str]:
    """Return a label file's names in the dataset's spelling."""
    spelt = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in classes}
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return [spelt[re.sub(r"[^a-z0-9]", "", row["name"].lower())] for row in rows]


def ucf101(folder: Path) -> tuple[dict[str, str], list[Sides]]:
    """Return the class of each video and the three official lists."""
    class_of: dict[str, str] = {}
    lists: list[Sides] = []
    for number in (1, 2, 3):
        sides: Sides = {}
        for side, code in (("train", "1"), ("test", "2")):
            for line in (folder / f"{side}list{number:02}.txt").read_text().split("\n"):
                if line.strip():
                    name, video = line.split()[0].split("/")
                    check(class_of.setdefault(Path(video).stem, name) == name, f"{video} has two classes")
                    check(Path(video).stem not in sides, f"{video} is twice on list {number}")
                    sides[Path(video).stem] = code
        tested = {v for v in sides if 7 * (number - 1) < int(v.split("_")[2][1:]) <= 7 * number}
        check(tested == {v for v, code in sides.items() if code == "2"}, f"list {number} is not a rule by group")
        lists.append(sides)
    return class_of, lists


def hmdb51(folder: Path) -> tuple[dict[str, str], list[Sides]]:
    """Return the class of each video and the three official lists; 0 is in neither part."""
    class_of: dict[str, str] = {}
    lists: list[Sides] = [{}, {}, {}]
    for path in sorted(folder.glob("*_test_split?.txt")):
        name, number = path.stem.rsplit("_test_split", 1)
        for video, code in lines(path):
            check(class_of.setdefault(video, name) == name, f"{video} has two classes")
            check(video not in lists[int(number) - 1], f"{video} is twice on list {number}")
            lists[int(number) - 1][video] = code
    return class_of, [{v: code for v, code in sides.items() if code != "0"} for sides in lists]


def drawn(folder: Path, class_of: dict[str, str], labels: list[str], shots: int, pool: Iterable[str]) -> Sides:
    """Return the training videos of a few-shot file, after checking their number per class, labels and origin."""
    found = lines(folder)
    for video, label in found:
        right = SWAPPED.get(labels[int(label)], labels[int(label)])
        check(class_of[video] == right, f"{folder}: {video} is of {class_of[video]}")
    count = {label: sum(label == other for _, other in found) for _, label in found}
    check(set(count.values()) == {shots} and len(count) == len(labels), f"{folder}: not {shots} per class")
    sides = {video: "1" for video, _ in found}
    check(set(sides) <= set(pool) and len(sides) == len(found), f"{folder}: a video is not on training list 1")
    return sides


def with_official(name: str, clip: Path, official: Path) -> dict[str, Any]:
    """Return the record of UCF101 or HMDB51."""
    classes = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))["classes"]
    class_of, sides = {"ucf101": ucf101, "hmdb51": hmdb51}[name](official / f"{name}_splits")
    folder, stem = clip / "datasets_splits" / FOLDERS[name], FOLDERS[name].removesuffix("_splits")
    for number, each in enumerate(sides, start=1):
        count = tuple(list(each.values()).count(code) for code in "12")
        check(count == SIZES[name][number - 1], f"{name} list {number}: {count}")
        tested = {video for video, code in each.items() if code == "2"}
        check(tested == set(stems(folder / f"val{number}.txt")), f"{name} list {number}: the two sources differ")
    test = {video for video, code in sides[0].items() if code == "2"}
    pool = set(sides[0]) - test
    digits = re.sub(r"\D", "", name)
    labels = names_of(clip / "labels" / f"{stem}_{digits}_labels.csv", classes)
    lists = {f"official-{i}": (OFFICIAL[name].format(i), each, "") for i, each in enumerate(sides, start=1)}
    for shots in SHOTS:
        path = folder / f"train1_few_shot_{shots}.txt"
        source = f"{CLIP}{folder.name}/{path.name}"
        lists[f"{shots}-shot-1"] = source, drawn(path, class_of, labels, shots, pool), "official-1"
    base = names_of(clip / "labels" / f"{stem}_{digits}_base_labels.csv", classes)
    novel = names_of(clip / "labels" / f"{stem}_{digits}_novel_labels.csv", classes)
    check(sorted(base + novel) == sorted(classes), f"{name}: base and novel are no partition")
    folder = clip / "datasets_splits" / "base2novel_splits" / folder.name
    parts = {side: set(stems(folder / f"{side}_val.txt")) for side in ("base", "novel")}
    check(parts["base"] | parts["novel"] == test, f"{name}: base and novel test videos are not those of list 1")
    check({class_of[v] for v in parts["base"]} == set(base), f"{name}: a tested video of base is of a novel class")
    train = set(stems(folder / "base_train.txt"))
    check(train == {v for v in pool if class_of[v] in base}, f"{name}: base training videos are not those of list 1")
    for seed in (1, 2, 3):
        path = folder / f"fs_base_s{seed}_train.txt"
        source = f"{CLIP}base2novel_splits/{folder.name}/{path.name}; its test videos are those of official list 1"
        lists[f"base-to-novel-{seed}"] = source, drawn(path, class_of, base, 16, pool), "official-1"
    return record(name, classes, class_of, lists, base)


def kinetics400(clip: Path) -> dict[str, Any]:
    """Return the record of Kinetics-400: the validation list and the draws of base classes."""
    classes = json.loads((DATA / "kinetics400.json").read_text(encoding="utf-8"))["classes"]
    folder = clip / "datasets_splits" / "k400_splits"
    labels = names_of(clip / "labels" / "kinetics_400_labels.csv", classes)
    base = names_of(clip / "labels" / "kinetics_400_base_labels.csv", classes)
    novel = names_of(clip / "labels" / "kinetics_400_novel_labels.csv", classes)
    check(sorted(base + novel) == sorted(classes), "kinetics400: base and novel are no partition")
    validation = {video[:11]: labels[int(label)] for video, label in lines(folder / "val.txt")}
    class_of = dict(validation)
    test = dict.fromkeys(validation, "2")
    lists = {"validation": (f"{CLIP}k400_splits/val.txt", test, "")}
    folder = clip / "datasets_splits" / "base2novel_splits" / "k400_splits"
    parts = {side: lines(folder / f"{side}_val.txt") for side in ("base", "novel")}
    check({v[:11] for part in parts.values() for v, _ in part} == set(test), "kinetics400: other test videos")
    check({validation[v[:11]] for v, _ in parts["base"]} == set(base), "kinetics400: a video of base is not")
    for seed in (1, 2, 3):
        path = folder / f"fs_base_s{seed}_train.txt"
        found = {video[:11]: base[int(label)] for video, label in lines(path)}
        check(len(found) == 3200 and not set(found) & set(test), f"{path}: a video is twice or tested")
        check(all(list(found.values()).count(name) == 16 for name in base), f"{path}: not 16 per class")
        for video, name in found.items():
            check(class_of.setdefault(video, name) == name, f"{video} has two classes")
        source = f"{CLIP}base2novel_splits/k400_splits/{path.name}"
        lists[f"base-to-novel-{seed}"] = source, dict.fromkeys(found, "1"), "validation"
    return record("kinetics400", classes, class_of, lists, base)


def kinetics600(clip: Path) -> dict[str, Any]:
    """Return the record of Kinetics-600: the videos of the three tests on 160 classes."""
    stored = json.loads((DATA / "kinetics600.json").read_text(encoding="utf-8"))
    classes, family = stored["classes"], stored["families"][0]
    class_of: dict[str, str] = {}
    lists = {}
    for number in (1, 2, 3):
        labels = names_of(clip / "labels" / f"ZS_split{number}_K600.csv", classes)
        check(set(labels) == set(family["unseen"][number - 1]), f"kinetics600: other classes in test {number}")
        path = clip / "datasets_splits" / "k600_splits" / f"ZS_split{number}_K600_eval.txt"
        found = {video[:11]: labels[int(label)] for video, label in lines(path)}
        check(len(found) == len(lines(path)), f"{path} has a video twice")
        check(len(found) == list(COUNTS.values())[-1][number - 1], f"{path} has {len(found)} videos")
        for video, name in found.items():
            check(class_of.setdefault(video, name) == name, f"{video} has two classes")
        source = f"{CLIP}k600_splits/{path.name}; its videos come from Kinetics-600's train, val and test parts"
        lists[f"kinetics-zsar-{number}"] = source, dict.fromkeys(found, "2"), ""
    counts = [
        {"list": f"kinetics-zsar-{number}", "videos": videos[number - 1], "source": source}
        for number in (1, 2, 3)
        for source, videos in COUNTS.items()
    ]
    return record("kinetics600", classes, class_of, lists, []) | {"counts": counts}


def record(
    name: str,
    classes: list[str],
    class_of: dict[str, str],
    lists: dict[str, tuple[str, Sides, str]],
    base: list[str],
) -> dict[str, Any]:
    """Return the contents of a file."""
    videos = {c: sorted(v for v, other in class_of.items() if other == c) for c in classes}
    check(sum(map(len, videos.values())) == len(class_of), f"{name}: a video has an unknown class")
    check(len({v.casefold() for v in class_of}) == len(class_of), f"{name}: two ids differ in case only")
    ids = [v for each in videos.values() for v in each]
    entries = {
        key: {"source": source, "sides": "".join(sides.get(v, "0") for v in ids), "test_of": test_of}
        for key, (source, sides, test_of) in lists.items()
    }
    source = f"{CLIP.removesuffix('datasets_splits/')}labels/*_base_labels.csv and *_novel_labels.csv" if base else ""
    return {"dataset": name, "videos": videos, "lists": entries, "base": base, "base_source": source}


def main() -> None:
    """Write one file per dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip_lists", type=Path)
    parser.add_argument("official", type=Path)
    args = parser.parse_args()
    made = [with_official(name, args.clip_lists, args.official) for name in OFFICIAL]
    made += [kinetics400(args.clip_lists), kinetics600(args.clip_lists)]
    (DATA / "video_lists").mkdir(exist_ok=True)
    for each in made:
        path = DATA / "video_lists" / f"{each['dataset']}.json.gz"
        # Without time and name, so that the same lists give the same bytes.
        path.write_bytes(gzip.compress(json.dumps(each, ensure_ascii=False).encode(), mtime=0))
        n = sum(map(len, each["videos"].values()))
        print(f"{path.name}: {n:,} videos, {len(each['lists'])} lists, {path.stat().st_size / 1e3:,.0f} kB")


if __name__ == "__main__":
    main()
