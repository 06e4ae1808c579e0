"""``zslbench features transform``: make a PCA of a feature set, and fit it for the splits of a family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import click

from zslbench.cli._help import Verb
from zslbench.cli._names import FEATURES
from zslbench.cli._output import echo
from zslbench.errors import ZslbenchError
from zslbench.tables.progress import progress

if TYPE_CHECKING:
    from zslbench.features.derived import DerivedFeatures
    from zslbench.videos import IntArray


@click.command(
    short_help="Make a new feature set from the PCA of a feature set.",
    cls=Verb,
    examples=["zslbench features transform ucf101 c3d --pca 500 --family xu-50/50"],
)
@click.argument("dataset")
@click.argument("name", type=FEATURES)
@click.option("--pca", "k", type=click.IntRange(min=1), required=True, metavar="K", help="Values per frame to keep.")
@click.option(
    "--fit",
    type=click.Choice(["seen", "all"]),
    default="seen",
    help="Fit on each split's training videos of seen classes, or on all videos, including those of unseen classes.",
)
@click.option(
    "--family", help="Fit for the splits of this family now; other splits are fitted when a run first needs them."
)
@click.option("--splits", default="all", help="Splits of --family: 5, 0:10, 3,7 or all.")
@click.option(
    "--protocol",
    "protocols",
    type=click.Choice(["zsl", "gzsl"]),
    multiple=True,
    default=("zsl",),
    help="Protocols of --family; gzsl trains on fewer videos. Repeatable.",
)
@click.option("--whiten", is_flag=True, help="Divide each component by its standard deviation.")
@click.option("--as", "new_name", metavar="NEWNAME", help="[default: NAME-pcaK, with -all and -white where they apply]")
def command(
    dataset: str, name: str, k: int, fit: Literal["seen", "all"], family: str | None, splits: str,
    protocols: tuple[Literal["zsl", "gzsl"], ...], whiten: bool, new_name: str | None,
) -> None:  # fmt: skip
    """Make a new feature set from the PCA of the feature set NAME of DATASET.

    No features are written, only one small matrix per split; frames are projected when they are read. With --fit all
    there is one matrix, which has seen videos of the unseen classes; 'zslbench audit' reports this.
    """
    from zslbench.datasets.catalog import get_dataset
    from zslbench.features.catalog import derive_features

    if family and fit == "all":
        raise ZslbenchError("--fit all fits one PCA on all videos, for every split; leave out --family.")
    new_name = new_name or f"{name}-pca{k}{'-all' if fit == 'all' else ''}{'-white' if whiten else ''}"
    derived = derive_features(get_dataset(dataset), name, new_name, k=k, fit=fit, whiten=whiten)
    echo(f"{derived.title}: {describe(derived)}")
    if fit == "seen" and not family:
        echo("It is fitted for each split when a run first needs it. To fit it for a family now, add --family FAMILY.")
        return
    chosen = list(_training_videos(derived, family, splits, protocols)) if family else [derived.labels[:0]]
    with progress(f"fitting {dataset}@{new_name}", "matrices") as show:
        for done, rows in enumerate(chosen):
            show(done, len(chosen))
            derived.projection(rows)
        show(len(chosen), len(chosen))
    echo(f"Fitted: {fitted(derived)}")


def _training_videos(
    derived: DerivedFeatures, family: str, splits: str, protocols: tuple[Literal["zsl", "gzsl"], ...]
) -> Iterator[IntArray]:
    """Yield the training videos of each distinct split that the options name."""
    from zslbench.datasets.splits import parse_splits
    from zslbench.families.catalog import find_family
    from zslbench.features.video_lists import held_out_list
    from zslbench.run.split_videos import split_videos

    found = find_family(derived.dataset, family, derived.covered)
    if (other := found.splits[0].seen_dataset) is not None:
        raise ZslbenchError(
            f"{family} trains on {other}; transform the features of {other} too, under the same name, without "
            f"--family: the run fits the PCA on them."
        )
    found.check_coverage(derived.covered, derived.title)
    indices = parse_splits(splits, len(found))
    listed = held_out_list(derived)
    # By digest, because repeated splits of a family share one matrix.
    for split in {found.splits[i].digest: found.splits[i] for i in indices}.values():
        for protocol in dict.fromkeys(protocols):
            yield split_videos(split, protocol, derived, derived, listed.name if listed else "").train_rows


def describe(derived: DerivedFeatures) -> str:
    """Return one line: the PCA's parent, its size, and the videos that it is fitted on."""
    m = derived.manifest
    where = (
        "all videos, including those of unseen classes" if derived.step.fit == "all" else "each split's training videos"
    )
    whitened = ", whitened" if derived.step.whiten else ""
    return f"{m.dim} of {m.input_dim:,} values of {derived.step.parent}{whitened}, fitted on {where}"


def fitted(derived: DerivedFeatures) -> str:
    """Return how many matrices there are, and how much of the variance they keep."""
    kept: list[Any] = [100 * found.explained.sum() for found in derived.projections()]
    if not kept:
        return "no split yet"
    low, high = f"{min(kept):.1f}", f"{max(kept):.1f}"
    n = "1 matrix, which keeps" if len(kept) == 1 else f"{len(kept)} matrices, which keep"
    return f"{n} {low if low == high else f'{low} to {high}'} % of the variance"
