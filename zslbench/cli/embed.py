"""``zslbench embed``: embed videos with a saved model."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from zslbench.cli._console import DEVICE, RESULTS
from zslbench.cli._files import FILE
from zslbench.cli._help import Verb
from zslbench.cli._model import check_features, features_for, named_model
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError
from zslbench.files import new_file


@click.command(cls=Verb, examples=["zslbench embed 3f2a --dataset ucf101 --out videos.npz"])
@click.argument("model")
@click.option("--dataset", help="Dataset. [default: the model's]")
@click.option("--features", help="Feature set from the model's extractor. [default: the one named like the model's]")
@click.option(
    "--out",
    required=True,
    type=FILE,
    help="A .npz file (ids, labels, vectors), or .npy (vectors alone, in the feature set's order).",
)
@RESULTS
@DEVICE
def command(model: str, dataset: str | None, features: str | None, out: Path, results: Path) -> None:
    """Embed every video of a feature set with MODEL: the folder of a saved model, or the beginning of its id.

    'zslbench run --save-model' saves models.
    """
    if out.suffix not in (".npz", ".npy"):
        raise ZslbenchError(f"--out {out} must end in .npz or .npy; change its suffix.")
    from zslbench.embeddings.class_embeddings import video_embeddings

    saved = named_model(model, results)
    given = check_features(saved, features_for(saved.card.cell, dataset, features))
    vectors = video_embeddings(saved, given)
    with new_file(out, option="--out") as work:
        if out.suffix == ".npy":
            np.save(work, vectors)
        else:
            labels = np.array(given.dataset.classes)[given.labels]
            np.savez(work, ids=np.array(given.ids), labels=labels, vectors=vectors)
    echo(f"{len(vectors):,} videos of {given.title}, {vectors.shape[1]} values each, written to {out}")
