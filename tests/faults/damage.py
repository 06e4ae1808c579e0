"""Damage to files of a results folder, as disks, crashed machines, tools and people do it.

Each function of :data:`KINDS` damages a copy of the store and returns what it did. ``FORGED`` are the kinds after which
all checksums are right again, so that only ``zslbench results verify`` can name the cell.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

from faults.world import World

from zslbench.cells._sums import SUMS, write_sums

Damage = Callable[[World, Random], str]
KINDS: dict[str, Damage] = {}
FORGED: set[str] = set()
_READ = ("cell.json", "result.json", SUMS, "predictions.parquet", "environment.json")
_ALL = (*_READ, "log.txt", "scores.npy")


def kind(name: str, *, forged: bool = False) -> Callable[[Damage], Damage]:
    """Register a kind of damage."""

    def register(damage: Damage) -> Damage:
        KINDS[name] = damage
        if forged:
            FORGED.add(name)
        return damage

    return register


def _cells(world: World) -> list[Path]:
    return sorted((world.runs / "cells").iterdir())


def _file(world: World, rng: Random) -> Path:
    """Return a file of a cell; those that every reader reads are chosen more often."""
    return rng.choice(_cells(world)) / rng.choice(_READ if rng.random() < 0.7 else _ALL)


def truncate(path: Path, rng: Random) -> str:
    """Cut a file off at one of several classes of lengths."""
    size = path.stat().st_size
    length = rng.choice([0, 1, size // 2, size - 1, rng.randrange(size)])
    os.truncate(path, length)
    return f"{path.parent.name}/{path.name} truncated from {size} to {length} bytes"


def flip(path: Path, rng: Random) -> str:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    place, bit = rng.randrange(len(content)), rng.randrange(8)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place} of {path.parent.name}/{path.name} flipped"


def zero(path: Path, rng: Random) -> str:
    """Fill a part of a file with zeros, as a power cut leaves it."""
    content = bytearray(path.read_bytes())
    start = rng.choice([0, rng.randrange(len(content))])
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)
    return f"{path.parent.name}/{path.name} is zeros from byte {start}"


def garble(path: Path, rng: Random) -> str:
    """Overwrite some bytes of a file, or append some."""
    content = bytearray(path.read_bytes())
    start = rng.choice([len(content), rng.randrange(len(content))])
    content[start : start + 16] = rng.randbytes(16)
    path.write_bytes(content)
    return f"16 random bytes at {start} of {path.parent.name}/{path.name}"


BYTES = {"truncate": truncate, "flip": flip, "zero": zero, "garble": garble}


@kind("cell: file truncated")
def _truncated(world: World, rng: Random) -> str:
    return truncate(_file(world, rng), rng)


@kind("cell: bit flipped")
def _flipped(world: World, rng: Random) -> str:
    return flip(_file(world, rng), rng)


@kind("cell: file filled with zeros")
def _zeroed(world: World, rng: Random) -> str:
    return zero(_file(world, rng), rng)


@kind("cell: bytes overwritten or appended")
def _garbled(world: World, rng: Random) -> str:
    return garble(_file(world, rng), rng)


@kind("cell: file removed")
def _removed(world: World, rng: Random) -> str:
    path = _file(world, rng)
    path.unlink()
    return f"{path.parent.name}/{path.name} removed"


@kind("cell: file replaced by what is no file")
def _no_file(world: World, rng: Random) -> str:
    path = _file(world, rng)
    other = rng.choice([each for each in _cells(world) if each != path.parent]) / path.name
    path.unlink()
    what = rng.choice(["folder", "dangling link", "link to itself", "link to another cell's file"])
    if what == "folder":
        path.mkdir()
    else:
        others = f"../{other.parent.name}/{other.name}"
        path.symlink_to({"dangling link": "nowhere", "link to itself": path.name}.get(what, others))
    return f"{path.parent.name}/{path.name} replaced by a {what}"


@kind("cell: file of another cell")
def _swapped_files(world: World, rng: Random) -> str:
    one, other = rng.sample(_cells(world), 2)
    name = rng.choice(_ALL)
    if rng.random() < 0.5:
        shutil.copyfile(other / name, one / name)
        return f"{other.name}/{name} copied over that of {one.name}"
    (one / name).rename(one / "aside")
    (other / name).rename(one / name)
    (one / "aside").rename(other / name)
    return f"{name} exchanged between {one.name} and {other.name}"


@kind("cell: several files of another cell")
def _mixed(world: World, rng: Random) -> str:
    one, other = rng.sample(_cells(world), 2)
    names = rng.sample(_READ, rng.randint(2, len(_READ)))
    for name in names:
        shutil.copyfile(other / name, one / name)
    return f"{', '.join(names)} of {other.name} copied over those of {one.name}"


@kind("folders: two exchanged")
def _swapped_folders(world: World, rng: Random) -> str:
    one, other = rng.sample(_cells(world), 2)
    one.rename(world.place / "swapped")
    other.rename(one)
    (world.place / "swapped").rename(other)
    return f"{one.name} and {other.name} exchanged"


def _strange_name(name: str, rng: Random) -> str:
    return rng.choice([
        f"{rng.getrandbits(128):032x}", f"{name}.bak", f"{name} (copy)", name.upper(), name[:-1], f"{name}~",
        "lost+found", f"{name}\n{name}", f"[red]{name}", "\udcff",
    ])  # fmt: skip


@kind("folders: one renamed")
def _renamed(world: World, rng: Random) -> str:
    folder = rng.choice(_cells(world))
    name = _strange_name(folder.name, rng)
    folder.rename(folder.with_name(name))
    return f"{folder.name} renamed to {name!a}"


@kind("folders: one copied")
def _copied(world: World, rng: Random) -> str:
    folder = rng.choice(_cells(world))
    name = _strange_name(folder.name, rng)
    shutil.copytree(folder, folder.with_name(name))
    return f"{folder.name} copied to {name!a}"


@kind("folders: one removed")
def _removed_folder(world: World, rng: Random) -> str:
    folder = rng.choice(_cells(world))
    shutil.rmtree(folder)
    return f"{folder.name} removed"


@kind("folders: one emptied or replaced")
def _replaced_folder(world: World, rng: Random) -> str:
    folder = rng.choice(_cells(world))
    what = rng.choice(["emptied", "a file now", "a dangling link now"])
    shutil.rmtree(folder)
    if what == "emptied":
        folder.mkdir()
    elif what == "a file now":
        folder.write_text("x")
    else:
        folder.symlink_to("nowhere")
    return f"{folder.name} is {what}"


@kind("folders: strange things added")
def _added(world: World, rng: Random) -> str:
    cell = rng.choice(_cells(world))
    place = rng.choice([cell, world.runs, world.runs / "cells", world.runs / "models"])
    names = [".DS_Store", "Thumbs.db", "notes.txt", ".nfs0001", "cell.json~", ".unfinished-0-rest", "\udcff", "a\nb"]
    name = rng.choice(names)
    (place / name).write_bytes(rng.randbytes(20))
    return f"{name!a} added to {place.relative_to(world.runs)}"


def _edit(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def _figure(content: dict[str, object], rng: Random) -> None:
    metrics = content["metrics"]
    name = rng.choice(sorted(metrics))
    values = [1.0, 0.0, 0.5, -1, 1e9, None, "1", float("nan")]
    same = {metrics[name], *(["1"] if metrics[name] == 1 else [])}  # a text of the same number is the same figure
    metrics[name] = rng.choice([value for value in values if value not in same])


@kind("edit: a figure")
def _edited(world: World, rng: Random) -> str:
    folder = rng.choice(_cells(world))
    _edit(folder / "result.json", lambda content: _figure(content, rng))
    return f"a figure of {folder.name} edited"


@kind("edit: a figure, with new checksums", forged=True)
def _edited_with_sums(world: World, rng: Random) -> str:
    folder = rng.choice(_cells(world))
    _edit(folder / "result.json", lambda content: _figure(content, rng))
    _sum_again(folder)
    return f"a figure of {folder.name} edited, with new checksums"


def _sum_again(folder: Path) -> None:
    (folder / SUMS).unlink()
    write_sums(folder)


@kind("edit: counts and all their figures, with new checksums", forged=True)
def _edited_consistently(world: World, rng: Random) -> str:
    from zslbench.cells._agreement import _figures
    from zslbench.cells.cell import Cell, ClassCounts

    folder = rng.choice(_cells(world))
    cell = Cell.model_validate_json((folder / "cell.json").read_bytes())

    def change(content: dict[str, object]) -> None:
        counts = content["classes"]
        i = rng.choice([i for i, n in enumerate(counts["scored"]) if n])
        counts["top1"][i] = counts["top5"][i] = counts["scored"][i] if counts["top1"][i] < counts["scored"][i] else 0
        known = _figures(cell, ClassCounts.model_validate(counts))
        content["metrics"] |= {name: value for name, value in known.items() if name in content["metrics"]}

    _edit(folder / "result.json", change)
    _sum_again(folder)
    return f"counts of {folder.name} edited, with all figures and checksums"


@kind("edit: predictions, with new checksums", forged=True)
def _edited_predictions(world: World, rng: Random) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = rng.choice(_cells(world))
    path = folder / "predictions.parquet"
    table = pq.read_table(path)
    labels = table["label"].to_pylist()
    best = [classes[0] for classes in table["predicted"].to_pylist()]
    i = rng.choice([i for i in range(len(labels)) if labels[i] != best[i]])
    labels[i] = best[i]
    column = pa.array(labels).dictionary_encode()
    table = table.set_column(table.column_names.index("label"), "label", column)
    pq.write_table(table, path, compression="zstd")
    _sum_again(folder)
    return f"the label of video {i} of {folder.name} edited, with new checksums"


@kind("edit: a field of the cell's identity, with new checksums", forged=True)
def _edited_cell(world: World, rng: Random) -> str:
    folder = rng.choice(_cells(world))
    name, value = rng.choice([
        ("method", "sae"), ("seed", 7), ("method_version", "9"), ("params", {}), ("features_digest", "0" * 32),
        ("semantics_digest", "0" * 32), ("split_digest", "0" * 32), ("recipe", 99), ("protocol", "none"), ("newer", 1),
    ])  # fmt: skip
    _edit(folder / "cell.json", lambda content: content.update({name: value}))
    _sum_again(folder)
    return f"{name} of {folder.name} edited, with new checksums"


def _index(world: World) -> Path:
    path = world.runs / "index.sqlite"
    if not path.exists():
        world.say("leaderboard")
    return path


@kind("index: bytes damaged")
def _damaged_index(world: World, rng: Random) -> str:
    return rng.choice(list(BYTES.values()))(_index(world), rng)


@kind("index: removed or replaced")
def _replaced_index(world: World, rng: Random) -> str:
    path = _index(world)
    what = rng.choice(["removed", "a folder", "a dangling link", "another database", "with other columns", "text"])
    path.unlink()
    if what == "a folder":
        path.mkdir()
    elif what == "a dangling link":
        path.symlink_to("nowhere")
    elif what in ("another database", "with other columns"):
        with sqlite3.connect(path) as database:
            database.execute(f"CREATE TABLE {'cells' if what == 'with other columns' else 'others'} (id, stamp)")
            database.execute(f"INSERT INTO {'cells' if what == 'with other columns' else 'others'} VALUES (1, 2)")
        database.close()
    elif what == "text":
        path.write_text("no database")
    return f"the index is {what}"


@kind("index: rows edited")
def _edited_index(world: World, rng: Random) -> str:
    database = sqlite3.connect(_index(world))
    what = rng.choice([
        "UPDATE cells SET result = replace(CAST(result AS TEXT), '\"top1\":0.', '\"top1\":0.9')",
        "UPDATE cells SET result = (SELECT result FROM cells ORDER BY id DESC LIMIT 1)",
        "UPDATE cells SET cell = (SELECT cell FROM cells ORDER BY id LIMIT 1)",
        "UPDATE cells SET stamp = ''", "UPDATE cells SET checksum = NULL", "UPDATE cells SET result = NULL",
        "DELETE FROM cells WHERE rowid % 2", "UPDATE cells SET id = id || 'x'",
        "UPDATE cells SET id = NULL WHERE rowid = 1",
        "INSERT INTO cells SELECT 'x' || id, stamp, cell, result, checksum FROM cells",
        "UPDATE cells SET cell = CAST(cell AS TEXT), result = CAST(result AS TEXT)",
    ])  # fmt: skip
    with database:
        database.execute(what)
    database.close()
    return f"in the index: {what}"


@kind("index: of an earlier state")
def _old_index(world: World, rng: Random) -> str:
    """Keep the index of the undamaged store beside a damaged cell."""
    _index(world)
    return _flipped(world, rng)


@kind("model: bytes damaged")
def _damaged_model(world: World, rng: Random) -> str:
    path = rng.choice(sorted((world.runs / "models").glob("*/*")))
    return rng.choice(list(BYTES.values()))(path, rng)


@kind("several at once")
def _several(world: World, rng: Random) -> str:
    chosen = rng.sample([name for name in KINDS if name.startswith("cell: ") and "no file" not in name], 3)
    said = []
    for name in chosen:
        try:
            said.append(KINDS[name](world, rng))
        except (FileNotFoundError, ValueError):  # the file is gone or empty since the last fault
            continue
    return "; ".join(said)
