"""The verbs of ``zslbench results`` that list, show, remove, export, import and merge stored cells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import click

from zslbench.bundles.card import BundleCard, first_origin
from zslbench.bundles.exchange import export_bundle, import_bundle, merge
from zslbench.cells.cell import PREDICTIONS
from zslbench.cells.removal import remove_cell
from zslbench.cells.rows import chosen_parameters, primary, registered_defaults, variant_name
from zslbench.cells.store import Record, Store
from zslbench.cli._console import READ_RESULTS, RESULTS, confirm, shown_path, table, tell_marks, tell_unreadable
from zslbench.cli._help import Verb
from zslbench.cli._output import echo, say
from zslbench.cli._written import Target, table_options
from zslbench.cli.leaderboard import FILTERS, filter_options, read_records
from zslbench.datasets.label_sets import trained_on_text
from zslbench.errors import NotFoundError, ZslbenchError
from zslbench.files import remove_directory
from zslbench.protocols.protocol import PROTOCOLS
from zslbench.tables.document import Document, Section
from zslbench.tables.text import visible
from zslbench.tables.widths import filled
from zslbench.tables.writer import columns, share_text

_ID = 12  # characters of an id in a table
_BUNDLE = click.Path(dir_okay=False, path_type=Path)


@click.command("list", cls=Verb, examples=["zslbench results list --method ridge"])
@READ_RESULTS
@filter_options(*FILTERS)
@table_options()
def list_(results: Path, target: Target, **filters: tuple[str, ...]) -> None:
    """List the stored cells."""
    records = read_records(results, filters)
    rows = [_summary(record) for record in records]
    headers = ["cell", "method", "features", "splits", "seed", "state", "%", "imported"]
    defaults = cache(registered_defaults)  # finding a plugin takes milliseconds
    lines = [
        _line(row, variant_name(record.cell, chosen_parameters(record.cell, defaults)) + record.cell.local_mark)
        for row, record in zip(rows, records, strict=True)
    ]
    if not any(row["imported"] for row in rows):
        lines, headers = [line[:-1] for line in lines], headers[:-1]
    if target.fmt == "console":
        table(lines, headers, right=["%"], drop=("seed", "features"))
        echo("%: top-1, or H in gzsl. 'zslbench results show CELL' shows all of a cell.", err=True)
        return
    section = Section(columns(headers, right=("%",)), lines, "Cells")
    target.write(Document("zslbench results list", [section], ["%: top-1, or H in gzsl."], rows))


def _summary(record: Record) -> dict[str, Any]:
    cell, result = record.cell, record.result
    return {
        "cell": cell.id, "method": cell.label, "features": f"{cell.dataset}@{cell.features}",
        "protocol": cell.protocol, "splits": cell.family, "split": cell.split, "seed": cell.seed,
        "state": result.state.value, "figure": result.metrics.get(primary(cell.protocol)),
        "semantics": cell.semantics, "params": cell.params, "imported": record.origin, "control": cell.control or "",
    }  # fmt: skip


def _line(row: dict[str, Any], method: str) -> tuple[Any, ...]:
    splits = f"{row['protocol']} {row['splits']} #{row['split']}"
    names = row["cell"][:_ID], method, row["features"], splits
    return *names, row["seed"], row["state"], share_text(row["figure"]), row["imported"]


@click.command(cls=Verb, examples=["zslbench results show 3f2a"])
@click.argument("cell")
@READ_RESULTS
@click.option("--format", "fmt", type=click.Choice(["console", "json"]), default="console")
def show(cell: str, results: Path, fmt: str) -> None:
    """Show a stored cell: its inputs, figures, notes and files. CELL is an id or its beginning."""
    store = Store(results)
    (record,) = _named(store, results, [cell])
    source = store.source(record)
    whole, folder = source.read(record.cell.id), store.folder(record)
    place = shown_path(folder)
    if fmt == "json":
        said = {
            "cell": whole.cell.model_dump(mode="json"), "result": whole.result.model_dump(mode="json"),
            "imported": record.origin, "first_imported": first_origin(store, record), "folder": place,
        }  # fmt: skip
        echo(json.dumps(said, indent=1))
        return
    first = first_origin(store, record)
    origin = record.origin + (f", first imported as {first}" if first != record.origin else "")
    details = [(name, visible(str(value))) for name, value in _details(whole, folder, place, origin)]
    width = max(len(name) for name, _ in details)
    for name, value in details:
        echo(filled(value, f"{name:<{width}}  ", " " * (width + 2)))
    _show_classes(whole)


def _details(record: Record, folder: Path, place: str, origin: str) -> Iterator[tuple[str, Any]]:
    cell, result = record.cell, record.result
    yield "cell", cell.id
    yield "method", cell.label + "".join(f" {key}={value}" for key, value in sorted(cell.params.items()))
    yield "code", f"version {cell.method_version}, digest {cell.method_digest[:_ID]}"
    yield "features", f"{cell.dataset}@{cell.features}, digest {cell.features_digest[:_ID]}"
    yield "class vectors", f"{cell.semantics}, digest {cell.semantics_digest[:_ID]}"
    yield "split", f"{cell.protocol}, {cell.family} #{cell.split}, seed {cell.seed}, digest {cell.split_digest[:_ID]}"
    if cell.control:
        yield "control", cell.control
    if not cell.calibrate:
        yield "calibration", "none"
    yield "state", result.state.value
    if result.failure:
        yield "error", f"{result.failure.type}: {result.failure.message}"
    figures = [name for name in PROTOCOLS[cell.protocol].figures if name in result.metrics]
    for name in dict.fromkeys([*figures, *result.metrics]):  # the protocol's headline figure comes first
        yield name, f"{result.metrics[name]:.4f}"
    for key, note in result.notes.items():
        yield f"note {key}", note
    for text in result.warnings:
        yield "warning", text
    yield "finished", datetime.fromtimestamp(result.finished).astimezone().isoformat(" ", "seconds")
    if origin:
        yield "imported", origin
    yield "folder", place
    yield "files", ", ".join(sorted(path.name for path in folder.iterdir()))


def _show_classes(record: Record) -> None:
    counts = record.result.classes
    if counts:
        rows = zip(counts.names, counts.scored, counts.top1, counts.top5, strict=True)
        echo()
        table(rows, ("class", "videos", "correct", "in the first five"))
        echo(f"'{PREDICTIONS}' in the folder has the predictions of each video.", err=True)


def _named(store: Store, results: Path, names: tuple[str, ...] | list[str]) -> list[Record]:
    """Return the cells whose ids begin with the names, one each; of two with one id, that which was run here.

    Raises
    ------
    NotFoundError
        No cell matches a name, or several do.
    """
    found: list[Record] = []
    records, unreadable = store.scan()
    for name in names:
        matches = {record.cell.id: record for record in reversed(records) if record.cell.id.startswith(name)}
        if len(matches) != 1 or not name:
            tell_unreadable([each for each in unreadable if name and each.id.startswith(name)])
            many = f"{len(matches)} cells have" if matches else "no cell that can be read has"
            raise NotFoundError(
                f"{many} an id that begins with {name!r} in {shown_path(results)}; 'zslbench results list' shows the "
                "ids."
            )
        found += matches.values()
    return found


@click.command(cls=Verb, examples=["zslbench results remove 3f2a 77b0", "zslbench results remove --imported their-lab"])
@click.argument("cells", nargs=-1, metavar="[CELL ...]")
@RESULTS
@click.option("--imported", metavar="NAME", help="Remove an imported bundle.")
@click.option("--unreadable", is_flag=True, help="Remove the cells that cannot be read.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(cells: tuple[str, ...], results: Path, imported: str | None, unreadable: bool, yes: bool) -> None:
    """Remove stored cells with their models, or an imported bundle. CELL is an id or its beginning.

    Runs in MLflow stay; delete them in its pages.
    """
    store = Store(results)
    ids, bundles = list[str](), list[Path]()
    if imported is not None:
        known = store.bundles()
        if imported not in known:
            raise NotFoundError(
                f"no bundle {imported!r} is imported in {results}; there is: {', '.join(known) or 'none'}."
            )
        bundles.append(known[imported].root)
    for record in _named(store, results, cells):
        if record.origin:
            raise ZslbenchError(
                f"cell {record.cell.id} is of the bundle {record.origin}; remove the bundle with --imported."
            )
        ids.append(record.cell.id)
    if unreadable:
        ids += [each.id for each in store.scan_own()[1]]
    there = [f"{n} {noun}{'' if n == 1 else 's'}" for n, noun in ((len(ids), "cell"), (len(bundles), "bundle")) if n]
    if not there:
        raise ZslbenchError("there is nothing to remove; name cells, or use --imported NAME or --unreadable.")
    said = " and ".join(there)
    confirm(f"remove {said} from {results}?", "nothing was removed", yes=yes)
    for cell_id in dict.fromkeys(ids):
        remove_cell(store, cell_id)
    for folder in bundles:
        remove_directory(folder)
    store.scan_own()  # the index, too
    echo(f"{said} removed from {results}", err=True)


@click.command("export", cls=Verb, examples=["zslbench results export mine.zip --dataset hmdb51"])
@click.argument("file", type=_BUNDLE)
@READ_RESULTS
@filter_options(*FILTERS)
@click.option("--name", help="Name for those who import it. [default: the file's name]")
def export(file: Path, results: Path, name: str | None, **filters: tuple[str, ...]) -> None:
    """Write stored cells into the bundle FILE.zip, for others to verify and to compare with.

    It has predictions, environments, digests of splits and class vectors, licences and citations, but no features and
    no models. Environments have the command lines of the runs.
    """
    if file.suffix.lower() != ".zip":
        raise ZslbenchError(f"{file} must end in .zip; change its suffix.")
    card = export_bundle(Store(results), read_records(results, filters), file, name or "")
    say(f"{len(card.cells)} cells written to {file} ({file.stat().st_size / 1e6:.1f} MB)")
    echo(f"Others read them with 'zslbench results import {file.name}'.", err=True)


@click.command("import", cls=Verb, examples=["zslbench results import theirs.zip --name their-lab"])
@click.argument("file", type=_BUNDLE)
@RESULTS
@click.option("--name", help="Name that marks its rows. [default: the bundle's]")
@click.option("--replace", is_flag=True, help="Replace the imported bundle of that name.")
def import_(file: Path, results: Path, name: str | None, replace: bool) -> None:
    """Verify the bundle FILE.zip and store its cells; tables mark their rows with [imported: NAME]."""
    store = Store(results)
    store.prepare()
    card = import_bundle(store, file, name or "", replace=replace)
    kept = name or card.name
    say(f"{len(card.cells)} cells verified and imported as {kept}, made by zslbench {card.zslbench} on {card.created}")
    _tell_card(card)
    echo(f"'zslbench leaderboard' shows them; 'zslbench results remove --imported {kept}' removes them.", err=True)


def _tell_card(card: BundleCard) -> None:
    rows = [(title, features.extractor or "unknown", trained_on_text(features.trained_on))
            for title, features in card.features.items()]  # fmt: skip
    table(rows, ("features", "extractor", "trained on"))
    tell_marks(row[-1] for row in rows)
    for text in (*card.licences, *(f"Cite: {text}" for text in card.citations)):
        echo(text, err=True)


@click.command("merge", cls=Verb, examples=["zslbench results merge laptop/runs cluster.zip"])
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=click.Path(path_type=Path))
@RESULTS
def merge_(sources: tuple[Path, ...], results: Path) -> None:
    """Copy the cells of other results folders or bundles into this one, as if they had run here.

    Every source is verified first. A cell that has figures here is kept.
    """
    store = Store(results)
    store.prepare()
    counts = merge(store, sources)
    store.scan_own()  # the index, too
    say(f"cells copied to {results}: {counts.copied}; there already: {counts.same}; kept as they are: {counts.kept}")
    if counts.busy:
        echo(f"{counts.busy} left out, because runs compute them there now; merge again when these end", err=True)
    for bundle in counts.bundles:
        echo(f"left out, because it was imported there: {bundle}; name this folder to merge its cells too", err=True)


VERBS = (list_, show, remove, export, import_, merge_)
