"""``zslbench features``: import, transform, list, show, verify and remove feature sets, and find released ones."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from zslbench.cli import _releases, _transform
from zslbench.cli._console import confirm, table, tell_marks
from zslbench.cli._help import VerbGroup
from zslbench.cli._names import FEATURES
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.datasets.catalog import get_dataset
from zslbench.datasets.label_sets import overlap_unknown, trained_on_text
from zslbench.errors import ZslbenchError, suggest
from zslbench.features.catalog import list_features, open_features, remove_features
from zslbench.features.ensemble import part_names, single
from zslbench.features.feature_set import FeatureSet, feature_path, features_root
from zslbench.features.kept_means import KEPT_MEANS, check_kept_means
from zslbench.files import UNFINISHED, check_name
from zslbench.tables.document import Document, Section
from zslbench.tables.progress import progress
from zslbench.tables.widths import console_width, filled
from zslbench.tables.writer import columns

_IMPORT = (
    "zslbench features import ucf101 vgg16 --features vgg16.npy --videos videos.csv "
    "--extractor vgg16-fc6 --trained-on imagenet"
)
_IMPORT_GROUPS = {
    "Files": ("source", "videos_csv", "class_list", "key", "lengths_column"),
    "How the array is read": ("axes", "crops", "tokens", "dtype", "trim_zeros", "skip_empty"),
    "Origin of the features": (
        "extractor", "trained_on", "weights_digest", "pca_fit", "reader", "frame_indices", "note",
    ),
}  # fmt: skip


@click.group(
    commands={"transform": _transform.command, "catalog": _releases.catalog, "get": _releases.get},
    cls=VerbGroup,
    examples=[
        "zslbench features list",
        _IMPORT,
    ],
)
def command() -> None:
    """Import, transform, list, show, verify and remove feature sets; find public releases.

    A feature set is one representation of a dataset's videos, such as ucf101@vgg16. All feature sets are stored in
    $ZSLBENCH_DATA_ROOT (by default in your user data folder).
    """


@command.command(
    "import",
    groups=_IMPORT_GROUPS,
    examples=[_IMPORT],
)
@click.argument("dataset")
@click.argument("name")
@click.option(
    "--features",
    "source",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .npy, .npz, .mat, .h5, .pt, .pkl, .csv, .json, .parquet or .tar file, 'shard-{000..003}.tar', or a folder "
    "of such files.",
)
@click.option(
    "--videos",
    "videos_csv",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A CSV with columns video, class and, if known, group and official (train, test; further lists: "
    "official_split2, ...). Or lists: 'path label' lines, trainlist01.txt and testlist01.txt (repeat the option), a "
    "folder of such or of *_test_split1.txt, Kinetics' CSV. Rows in the order of the features.",
)
@click.option(
    "--class-list",
    "--labels-order",
    "class_list",
    type=click.Path(path_type=Path),
    help="File that numbers the classes of lists, or of the features' labels: classInd.txt, labels.csv, names.txt, "
    "a .mat with allclasses_names; or 'canonical', the order of the dataset.",
)
@click.option("--extractor", required=True, help="Extractor of the features, such as vgg16-fc6.")
@click.option(
    "--trained-on",
    multiple=True,
    metavar="DATA",
    help="Training data of the extractor: imagenet, kinetics400, sports1m, ..., 'nothing', or 'unknown' if nobody can "
    "list them, also beside others. Repeatable.",
)
@click.option("--weights-digest", help="SHA-256 of the extractor's weights.")
@click.option("--pca-fit", type=click.Choice(["all", "seen"]), help="The videos that a PCA, if any, was fitted on.")
@click.option("--reader", help="Decoder of the videos, such as decord 0.6.0.")
@click.option("--frame-indices", help="Frames that were sampled, such as '25 evenly spaced'.")
@click.option(
    "--tokens",
    type=click.IntRange(min=1),
    default=1,
    help="Rows per frame of sequences: 1 + the number of patches if each frame's row is followed by its patches.",
)
@click.option("--note", default="", show_default=False, help="Any other information to store.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float16", "float32"]),
    default="auto",
    help="Type to store; auto keeps float16 and converts all other types to float32.",
)
@click.option("--key", help="Name of the array, if the file contains several.")
@click.option(
    "--axes",
    metavar="LETTERS",
    help="Order of the array's axes: n videos, t frames, c crops, d values, such as ndt; dt for one array per video.",
)
@click.option("--crops", type=click.Choice(["mean"]), help="Average the rows of each frame's crops.")
@click.option("--lengths-column", metavar="COLUMN", help="Column of the CSV with the frames of each padded sequence.")
@click.option("--trim-zeros", is_flag=True, help="Drop all-zero frames from the end of each sequence.")
@click.option("--skip-empty", is_flag=True, help="Leave out videos without a frame, and name them in the note.")
@click.option("--replace", is_flag=True, help="Replace a feature set of that name.")
@click.option("--dry-run", is_flag=True, help="Print what would be read; check no values and import nothing.")
def import_(dataset: str, name: str, replace: bool, dry_run: bool, **options: Any) -> None:
    """Import existing features as the feature set NAME of DATASET.

    Classes, duplicates, counts and NaN are checked first. The features are imported completely or not at all.
    docs/data.md describes each format.
    """
    from zslbench.datasets.label_sets import all_label_sets, find_label_set, is_unknown, is_untrained
    from zslbench.features.importing import FeatureFiles, Provenance, import_features, preview_import

    found = get_dataset(dataset)
    provenance = Provenance(**{field.name: options.pop(field.name) for field in fields(Provenance)})
    if dry_run:
        shown, notes = preview_import(found, FeatureFiles(**options))
        for field, value in shown.items():
            say(f"  {field:<16} {value}")
        for note in notes:
            say(f"note: {note}")
        say(f"Nothing was imported as {dataset}@{name}: this was a dry run, and values were not checked.")
        return
    with progress(f"{dataset}@{name}", "videos") as show:
        _, notes = import_features(found, name, FeatureFiles(**options), provenance, replace=replace, progress=show)
    features = open_features(found, name)
    say(f"Imported {features.title}")
    _describe(features)
    for note in notes:
        say(f"note: {note}")
    for name in features.manifest.trained_on:
        if not (is_untrained(name) or is_unknown(name)) and find_label_set(name) is None:
            say(
                f"note: zslbench has no label list of {name!r}, so it cannot check an overlap with unseen classes."
                f"{suggest(name, all_label_sets())}"
            )
    if not features.manifest.trained_on:
        say("note: --trained-on is missing, so an overlap of the training classes with unseen ones cannot be checked")
    if any(map(is_unknown, features.manifest.trained_on)):
        say("note: overlap unknown: the extractor may have seen every class; tables mark its rows with [W3]")


@command.command(
    examples=["zslbench features simulate hmdb51", "zslbench features simulate ucf101 --name large --full"]
)
@click.argument("dataset")
@click.option(
    "--name",
    default="simulated",
    help="Name of the feature set; choose another name for another size.",
)
@click.option(
    "--videos-per-class",
    type=click.IntRange(min=1),
    help="The same number for every class. [default: a quarter of the real numbers, or 25 if they are not known]",
)
@click.option("--full", is_flag=True, help="As many videos as the real set has, or 100 per class.")
def simulate(dataset: str, name: str, videos_per_class: int | None, full: bool) -> None:
    """Generate simulated features of DATASET, to try zslbench out or to measure time and memory at a given size."""
    from zslbench.features.simulated import simulate as generate

    check_name(name, "a feature set")
    if full and videos_per_class:
        raise ZslbenchError("--full and --videos-per-class both set the number of videos; give one of them.")
    with progress(f"simulating {dataset}@{name}", "classes") as show:
        features = generate(
            get_dataset(dataset), name=name, videos_per_class=videos_per_class, full=full, progress=show
        )
    say(f"Generated {features.title}: SIMULATED, no video was read")
    _describe(features)


@command.command("list", examples=["zslbench features list ucf101"])
@click.argument("dataset", required=False)
@table_options()
def list_(dataset: str | None, target: Target) -> None:
    """List the feature sets on this machine, or those of DATASET."""
    if dataset is not None:
        get_dataset(dataset)  # a mistyped name raises here, instead of giving an empty list
    found = list_features(dataset)
    if target.fmt != "console":
        section = Section(columns(_LISTED), [_row(*each) for each in found], "Feature sets")
        target.write(Document("zslbench features list", [section], facts=[_facts(*each) for each in found]))
        return
    for left in sorted(features_root().glob(f"*/{UNFINISHED}*")):
        say(f"note: {left} ({_size(left)}) belongs to an import that runs or was killed; delete it if no import runs.")
    if not found:
        say(f"No feature sets in {features_root()}; import one with 'zslbench features import'.")
        return
    rows = [_row(*each) for each in found]
    table(rows, _LISTED, drop=("dtype", "size", "frames", "classes"))
    tell_marks(row[-1] for row in rows)


_LISTED = ("feature set", "classes", "videos", "frames", "dim", "dtype", "size", "extractor", "trained on")


def _facts(dataset: str, name: str) -> dict[str, Any]:
    """Return a feature set for programs."""
    try:
        features = open_features(get_dataset(dataset), name)
    except ZslbenchError as error:
        return {"dataset": dataset, "name": name, "unusable": str(error)}
    m = features.manifest
    return {
        "dataset": dataset, "name": name, "classes": len(features.covered),
        "classes_of_dataset": len(features.dataset.classes), "videos": m.n_videos, "kind": m.kind,
        "frames": m.n_frames if m.kind == "sequences" else None, "dim": m.dim, "dtype": m.dtype,
        "extractor": m.extractor, "trained_on": list(m.trained_on),
        "overlap_unknown": overlap_unknown(m.trained_on) and not m.simulated, "simulated": m.simulated,
        "transform": m.transform and m.transform.model_dump(mode="json"), "digest": m.digest,
        "folder": str(features.path),
    }  # fmt: skip


def _row(dataset: str, name: str) -> tuple[Any, ...]:
    title = f"{dataset}@{name}"
    try:
        features = open_features(get_dataset(dataset), name)
    except ZslbenchError as error:
        return title, f"unusable: {error}"
    m = features.manifest
    frames = f"{m.n_frames:,}" if m.kind == "sequences" else "pooled"
    covered = f"{len(features.covered)} of {len(features.dataset.classes)}"
    extractor = f"SIMULATED ({m.extractor})" if m.simulated else m.extractor
    if m.transform:
        extractor = f"PCA of {m.transform.parent} ({m.transform.fit}); {extractor}"
    trained_on = "-" if m.simulated else trained_on_text(m.trained_on)
    return title, covered, f"{m.n_videos:,}", frames, m.dim, m.dtype, _size(features.path), extractor, trained_on


@command.command(examples=["zslbench features show ucf101 vgg16"])
@click.argument("dataset")
@click.argument("name", type=FEATURES)
def show(dataset: str, name: str) -> None:
    """Show the origin and the contents of a feature set."""
    features = single(open_features(get_dataset(dataset), name))
    say(features.title)
    _describe(features)


@command.command(examples=["zslbench features verify", "zslbench features verify ucf101 vgg16"])
@click.argument("dataset", required=False)
@click.argument("name", type=FEATURES, required=False)
def verify(dataset: str | None, name: str | None) -> None:
    """Compare feature sets with their checksums: one, all of DATASET, or all."""
    if dataset is not None:
        get_dataset(dataset)
    found = [(dataset, each) for each in part_names(name)] if dataset and name else list_features(dataset)
    damaged = []
    for each in found:
        try:
            features = open_features(get_dataset(each[0]), each[1])
            features.verify()
            say(f"ok       {each[0]}@{each[1]}")
            if features.manifest.transform is None and not check_kept_means(features.store):
                say(f"note: {KEPT_MEANS} of {each[0]}@{each[1]} was not that of its frames; it is computed again.")
        except ZslbenchError as error:
            damaged.append(str(error))
            say(f"damaged  {each[0]}@{each[1]}")
    if damaged:
        raise ZslbenchError("; ".join(damaged))
    if not found:
        say("No feature sets to verify; 'zslbench features list' lists those that exist.")


@command.command(examples=["zslbench features remove ucf101 vgg16"])
@click.argument("dataset")
@click.argument("name", type=FEATURES)
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(dataset: str, name: str, yes: bool) -> None:
    """Delete a feature set. Results that were measured on it stay."""
    check_name(dataset, "a dataset")
    check_name(name, "a feature set")
    path = feature_path(dataset, name)
    if path.is_dir():
        title = f"{dataset}@{name}"
        confirm(f"Delete {title} ({_size(path)}, {path})?", f"{title} was not deleted", yes=yes)
    say(f"Deleted {remove_features(dataset, name)}")


def _size(path: Path) -> str:
    from rich.filesize import decimal

    size = 0
    for file in path.iterdir():
        with contextlib.suppress(FileNotFoundError):  # a run that writes here has renamed it
            size += file.stat().st_size
    return decimal(size)


def _kept_means(path: Path) -> str:
    from rich.filesize import decimal

    return f"{decimal(path.stat().st_size)} of the folder, computed again if deleted" if path.is_file() else ""


def _describe(features: FeatureSet) -> None:
    m = features.manifest
    shortest, longest = features.lengths.min(), features.lengths.max()
    each = f"{shortest} per video" if shortest == longest else f"{shortest} to {longest} per video"
    frames = f"{m.n_frames:,} ({each})" if m.kind == "sequences" else "none: one vector per video"
    groups = len(
        {(label, group) for label, group in zip(features.labels.tolist(), features.groups, strict=True) if group}
    )
    ungrouped = features.groups.count("")
    provenance = {
        "simulated": "YES: these are not features of real videos" if m.simulated else "",
        "extractor": m.extractor,
        "trained on": "" if m.simulated else _trained_on(m.trained_on),
        "weights": m.weights_digest,
        "PCA": _pca(features),
        "reader": m.reader,
        "frame indices": m.frame_indices,
        "rows per frame": f"{m.tokens}: the frame and {m.tokens - 1} patches" if m.tokens > 1 else "",
        "note": m.note,
    }
    lines = {
        "videos": f"{m.n_videos:,}{_of_expected(features)}",
        "frames": frames,
        "values": f"{m.dim} x {m.dtype} per {'video' if m.kind == 'pooled' else 'frame'}",
        "classes": f"{len(features.covered)} of {len(features.dataset.classes)}",
        "source groups": f"{groups:,} in all classes" + (f"; {ungrouped:,} videos have none" if ungrouped else "")
        if groups else "unknown",
        "official list": "; ".join(filter(None, map(_sides, features.official_columns.values()))) or "unknown",
        **provenance,
        "created": f"{m.created} from {m.source}" if m.source else m.created,
        "folder": f"{features.path} ({_size(features.path)})",
        "kept means": _kept_means(features.path / KEPT_MEANS),
        "digest": m.digest,
    }  # fmt: skip
    for name, value in lines.items():
        if value:
            echo(filled(value, f"  {name:<14} ", " " * 17) if console_width() else f"  {name:<14} {value}")
    _compare(features)


def _trained_on(names: Sequence[str]) -> str:
    said = ", ".join(names) or "not declared"
    return f"{said}; overlap with unseen classes unknown (W3)" if overlap_unknown(names) else said


def _sides(official: list[str]) -> str:
    sides = Counter(official)
    if not (sides["train"] or sides["test"]):
        return ""
    return f"{sides['train']:,} train, {sides['test']:,} test" + (f", {sides['']:,} neither" if sides[""] else "")


def _pca(features: FeatureSet) -> str:
    from zslbench.features.derived import DerivedFeatures

    if isinstance(features, DerivedFeatures):
        again = "; the parent's PCA was fitted on all videos" if features.parent.manifest.pca_fit == "all" else ""
        return f"{_transform.describe(features)}{again}; {_transform.fitted(features)}"
    return f"fitted on {features.manifest.pca_fit} videos" if features.manifest.pca_fit else ""


def _of_expected(features: FeatureSet) -> str:
    expected = features.dataset.videos_per_class
    if expected is None:
        return ""
    where = "" if len(features.covered) == len(features.dataset.classes) else " in these classes"
    return f" ({sum(expected.get(name, 0) for name in features.covered):,} expected{where})"


def _compare(features: FeatureSet) -> None:
    """Print the classes whose number of videos is not the expected one."""
    expected = features.dataset.videos_per_class
    if expected is None:
        say(f"{features.dataset.name} has no numbers of videos per class to compare with.")
        return
    numbers = [(name, expected.get(name, 0), features.counts[name]) for name in features.covered]
    if rows := [(name, want, have, f"{have - want:+d}") for name, want, have in numbers if want != have]:
        table(rows, ("class", "expected", "present", "difference"))
    else:
        say("Every class that is present has all its videos.")
