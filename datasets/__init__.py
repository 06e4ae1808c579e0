"""Built-in datasets: class lists, phrases and split families, each read from a JSON file under ``data``.

The label sets that feature extractors are trained on are here, too.
"""

from __future__ import annotations

import json
from pathlib import Path

from zslbench.datasets.dataset import Dataset
from zslbench.datasets.label_sets import LabelSet
from zslbench.overlap.filters import Decisions

DATA = Path(__file__).parent / "data"
DESCRIBED = ("minilm-definition", "minilm-attributes", "minilm-name-attributes")  # for datasets with class texts
# Mean and relative spread of the number of frames per video, for simulated features: ten seconds at 30 fps.
KINETICS_FRAMES = (300.0, 0.08)


def _read(name: str, frames_per_video: tuple[float, float]) -> Dataset:
    texts = DATA / "texts" / f"{name}.json"
    described = texts.is_file()
    lists = DATA / "video_lists" / f"{name}.json.gz"
    others = json.loads((DATA / "class_names.json").read_text(encoding="utf-8")).get(name, [])
    sources = ["minilm", *(DESCRIBED if described else [])]
    return Dataset.read(
        DATA / f"{name}.json",
        vectors={source: DATA / f"{source}.npz" for source in sources},
        texts_file=texts if described else None,
        lists_file=lists if lists.is_file() else None,
        other_names={each: classes for table in others for each, classes in table["names"].items()},
        frames_per_video=frames_per_video,
    )


def hmdb51() -> Dataset:
    """Return HMDB51: 51 classes, 6,766 videos."""
    return _read("hmdb51", (80.0, 0.5))


def ucf101() -> Dataset:
    """Return UCF101: 101 classes in the official order, 13,320 videos."""
    return _read("ucf101", (165.0, 0.45))


def olympicsports16() -> Dataset:
    """Return Olympic Sports: 16 classes, 783 videos."""
    return _read("olympicsports16", (200.0, 0.6))


def kinetics400() -> Dataset:
    """Return Kinetics-400's classes."""
    return _read("kinetics400", KINETICS_FRAMES)


def kinetics600() -> Dataset:
    """Return Kinetics-600's classes, with the splits that train on Kinetics-400."""
    return _read("kinetics600", KINETICS_FRAMES)


def kinetics700() -> Dataset:
    """Return Kinetics-700's classes."""
    return _read("kinetics700", KINETICS_FRAMES)


def label_sets() -> list[LabelSet]:
    """Return the known training data of extractors: these datasets, Sports-1M, ImageNet-1k and web captions."""
    records = (json.loads(path.read_text(encoding="utf-8")) for path in sorted((DATA / "label_sets").glob("*.json")))
    read = [
        LabelSet(
            name=record["name"],
            display_name=record["display_name"],
            kind=record["kind"],
            labels=tuple(names[0] for names in record["labels"]),
            phrases=tuple(map(tuple, record["labels"])),
            aliases=tuple(record["aliases"]),
            source=record["source"],
            vectors={"minilm": DATA / "label_sets" / "minilm.npz"} if record["labels"] else {},
        )
        for record in records
    ]
    return [
        LabelSet.of(kinetics400(), "k400", "kinetics"),
        LabelSet.of(kinetics600(), "k600"),
        LabelSet.of(kinetics700(), "k700", "kinetics700-2019"),
        LabelSet.of(ucf101(), "ucf"),
        LabelSet.of(hmdb51(), "hmdb"),
        LabelSet.of(olympicsports16(), "olympic-sports"),
        *read,
    ]


def overlap_decisions() -> list[Decisions]:
    """Return the overlapping classes that papers chose by eye, or with models that are not public."""
    records = json.loads((DATA / "overlap_decisions.json").read_text(encoding="utf-8"))
    return [Decisions(**record) for record in records]
