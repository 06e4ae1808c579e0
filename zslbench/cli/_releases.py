"""``zslbench features catalog`` and ``get``: public releases of features."""

from __future__ import annotations

from pathlib import Path

import click

from zslbench.cli._help import Verb
from zslbench.cli._output import echo
from zslbench.cli._written import Target, table_options
from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.features.releases import FeatureRelease, find_release, releases
from zslbench.files import data_root
from zslbench.tables.document import Document, Section
from zslbench.tables.progress import progress
from zslbench.tables.widths import console_width, filled, shell_lines
from zslbench.tables.writer import Column, table_text

_FIELDS = (
    ("what", "what"), ("by", "by"), ("extractor", "extractor"), ("trained on", "trained_on"), ("layout", "layout"),
    ("size", "size"), ("licence", "licence"), ("where", "where"), ("page", "page"), ("source", "source"),
)  # fmt: skip


@click.command(cls=Verb, examples=["zslbench features catalog ucf101"])
@click.argument("dataset", required=False)
@table_options()
def catalog(dataset: str | None, target: Target) -> None:
    """List public releases of features, of all datasets or of DATASET. A release's name shows that one.

    The facts come from the pages of the releases. None is part of zslbench; mind their licences.
    """
    found = _chosen(dataset)
    if target.fmt != "console":
        facts = [release.model_dump(mode="json") for release in found]
        target.write(Document("zslbench features catalog", [Section(_COLUMNS, found, "Releases")], facts=facts))
        return
    if dataset is None:
        _list(found)
        return
    for release in found:
        _show(release)


def _count(release: FeatureRelease) -> str:
    return "1 file" if len(release.files) == 1 else f"{len(release.files)} files"


def _chosen(dataset: str | None) -> list[FeatureRelease]:
    if dataset is None:
        return list(releases())
    found = [release for release in releases() if dataset in (release.name, *release.datasets)]
    if not found:
        known = sorted({name for release in releases() for name in (*release.datasets, release.name)})
        raise NotFoundError(f"no release of features of {dataset!r} is known.{suggest(dataset, known)}")
    return found


_COLUMNS = (
    Column[FeatureRelease]("release", lambda release: release.name),
    Column[FeatureRelease]("datasets", lambda release: ", ".join(release.datasets), width=16),
    Column[FeatureRelease]("extractor", lambda release: release.extractor, width=18),
    Column[FeatureRelease]("size", lambda release: release.size, width=10),
    Column[FeatureRelease]("get", lambda release: "yes" if release.files else "no"),
)


def _list(found: list[FeatureRelease]) -> None:
    echo(table_text("console", _COLUMNS, found))
    hint = (
        "'zslbench features catalog NAME' shows all facts of a release or a dataset, and the import command. "
        "'zslbench features get NAME' downloads those with 'yes'."
    )
    echo(f"\n{filled(hint)}")


def _show(release: FeatureRelease) -> None:
    echo(f"{release.name} ({', '.join(release.datasets)})")
    unsure = [("not checked", "; ".join(("the files themselves", *release.not_checked)))]
    for name, value in [*((name, getattr(release, field)) for name, field in _FIELDS), *unsure]:
        first, after = f"  {name:<12} ", " " * 15
        if len(first) + len(value) > (console_width() or 80) and " " not in value:  # a long address
            first = f"  {name}\n    "
        echo(filled(value, first, after))
    echo(shell_lines(release.command_for("DIR"), "    ") if release.command else "  no import command: see 'what'")
    echo("")


@click.command(cls=Verb, examples=["zslbench features get od-i3d --to od-i3d"])
@click.argument("name")
@click.option(
    "--to", "folder", type=click.Path(path_type=Path), metavar="DIR",
    help="Folder of the files. [default: downloads/NAME in the data root]",
)  # fmt: skip
def get(name: str, folder: Path | None) -> None:
    """Download the release NAME, and print its import command.

    The same command continues a broken download. The SHA-256 of each file is recorded; another file at the same address
    is refused later.
    """
    from rich.filesize import decimal

    from zslbench.features.downloads import download

    release = find_release(name)
    if not release.files:
        raise ZslbenchError(f"{name} has no direct address ({release.where}); get it from {release.page}.")
    to = folder or data_root() / "downloads" / name
    echo(f"{name}: {_count(release)}, size {release.size}; licence: {release.licence}")
    for file in release.files:

        def starts(size: int | None, free: int, file_name: str = file.name) -> None:
            size_text = decimal(size) if size is not None else "size unknown"
            echo(f"{file_name}: {size_text} to come, {decimal(free)} free in {to}")

        with progress(file.name, "bytes") as show:
            digest = download(file.url, to / file.name, release.page, sha256=file.sha256, progress=show, starts=starts)
        echo(f"{to / file.name}: SHA-256 {digest}")
    if release.command:
        echo("Import it with:")
        echo(shell_lines(release.command_for(str(to)), "    "))
    else:
        echo(f"The import does not read this layout: {release.layout}.")
