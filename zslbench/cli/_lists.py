"""``zslbench datasets lists``: the lists of training and test videos, and how feature sets cover them."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cli._console import table
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.dataset import Dataset
from zslbench.datasets.video_ids import VideoList
from zslbench.datasets.video_lists import VideoLists, known_lists, list_names
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.features.catalog import list_features, open_features
from zslbench.features.video_lists import ListCoverage, list_coverage, lists_of
from zslbench.tables.widths import filled

_HEADERS = ["features", "list", "training", "test", "unknown"]


@click.command(
    "lists",
    short_help="Show or read the lists of training and test videos.",
    cls=Verb,
    examples=[
        "zslbench datasets lists ucf101  # the lists that are shipped",
        "zslbench datasets lists ucf101 ucfTrainTestlist  # compare official files",
        "zslbench datasets lists mine DIR  # read the lists of your dataset",
        "zslbench datasets lists kinetics400 --top1 0.61  # bounds",
    ],
)
@click.argument("dataset")
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@click.option("--replace", is_flag=True, help="Replace the lists that are stored for your dataset.")
@click.option("--top1", type=float, help="Accuracy on the videos that are there; adds bounds for the whole test lists.")
@click.option("--sources", is_flag=True, help="Also print where each list comes from.")
def command(dataset: str, directory: Path | None, replace: bool, top1: float | None, sources: bool) -> None:
    """Show the lists of training and test videos of DATASET, and what your feature sets lack of them.

    DIRECTORY has UCF101's form (trainlist01.txt and testlist01.txt, with lines 'class/video.avi') or HMDB51's
    (class_test_split1.txt, with lines 'video.avi 1'). docs/lists.md describes both.
    """
    found = get_dataset(dataset)
    if directory is not None:
        _read(found, directory, replace)
    if list_names(dataset):
        _show(known_lists(dataset), sources)
    elif not any(lists_of(open_features(found, name)) for _, name in list_features(dataset)):
        raise NotFoundError(
            f"{dataset} has no lists of videos; give their folder: 'zslbench datasets lists {dataset} DIR'."
        )
    _show_coverage(found, top1)


def _read(dataset: Dataset, directory: Path, replace: bool) -> None:
    from zslbench.datasets.distributed_lists import differences, read_distributed, store_lists

    given = read_distributed(dataset, directory)
    if dataset.lists_file is None:
        path = store_lists(dataset, given, replace=replace)
        say(f"Stored {len(given.lists)} list{'s' * (len(given.lists) > 1)} of {len(given.ids):,} videos: {path}\n")
        return
    if differ := differences(given, known_lists(dataset.name)):
        raise ZslbenchError(
            f"{directory} differs from the published lists of {dataset.name}: {'; '.join(differ)}; fetch it again."
        )
    say(f"{directory}: {len(given.lists)} official lists of {len(given.ids):,} videos, equal to the published ones.\n")


def _show(lists: VideoLists, sources: bool) -> None:
    say(f"{lists.dataset}: {len(lists.ids):,} videos on {len(lists.lists)} lists")
    each = [lists.named(name) for name in lists.lists]
    table(
        [(v.name, f"{len(v.train):,}", f"{len(v.test):,}", v.digest[:12]) for v in each],
        ["list", "training", "test", "digest"],
    )
    if lists.base:
        say(f"\nbase to novel: {len(lists.base)} base and {len(lists.videos) - len(lists.base)} novel classes")
    if lists.counts:
        say("\nPublished numbers of the test videos (clips disappear from YouTube):\n")
        table([(c.list, f"{c.videos:,}", c.source) for c in lists.counts], ["list", "videos", "source"])
    if sources:
        echo()
        for v in each:
            echo(filled(f"{v.name}: {v.source}", others="  "))


def _show_coverage(dataset: Dataset, top1: float | None) -> None:
    rows: list[tuple[str, ...]] = []
    echo()
    for _, name in list_features(dataset.name):
        features = open_features(dataset, name)
        lists = lists_of(features)
        found = [list_coverage(features, listed) for listed in lists]
        lacking = [each for each in found if each.missing_train or each.missing_test]
        if not lists:
            say(f"{features.title} has no videos of these lists, and no official column.")
        elif not lacking:
            own = "" if list_names(dataset.name) else f" of its own: {', '.join(map(_sizes, lists))}"
            say(f"{features.title} has all videos of {len(lists)} list{'s' * (len(lists) > 1)}{own}.")
        rows += [_row(name, each, top1) for each in lacking]
    if rows:
        say("\nVideos of each side that are missing, and videos that no list knows:\n")
        table(rows, [*_HEADERS, "top-1 by" if top1 is None else "top-1"])
        say("\nTop-1 on the whole list: if all missing test videos were wrong, or all right.")


def _sizes(listed: VideoList) -> str:
    return f"{listed.name} ({len(listed.train):,} training, {len(listed.test):,} test)"


def _row(name: str, found: ListCoverage, top1: float | None) -> tuple[str, ...]:
    counts = (found.missing_train, found.missing_test, found.extra)
    bounds = None if top1 is None else found.bounds(top1)
    last = f"up to {found.change:.2%}" if bounds is None else f"{bounds[0]:.2%} to {bounds[1]:.2%}"
    return (name, found.name, *(f"{n:,}" for n in counts), last)
