"""Write a bundle's zip file, and unpack one that a stranger made without trusting it.

The file has ``bundle.json`` and ``cells/ID/FILE`` for each file of each cell. Nothing else is accepted. Each file is
written under a path that is made here, so no name in the archive can lead elsewhere.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from zslbench.bundles.card import BundleCard
from zslbench.cells.cell import ERROR, PREDICTIONS, SCORES, SUMS, TRACEBACK, TRAINING
from zslbench.cells.store import CARD_FILE
from zslbench.errors import NotFoundError, ZslbenchError, parsed
from zslbench.files import new_file

_FILES = (
    "cell.json", "result.json", "environment.json", ERROR, TRACEBACK, "log.txt", PREDICTIONS, SCORES, TRAINING, SUMS,
)  # fmt: skip
_MEMBER = re.compile(rf"cells/([0-9a-f]{{32}})/({'|'.join(map(re.escape, _FILES))})", re.ASCII)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_FILES = 1_000_000
_MOST_OF_CARD = 1 << 28  # bytes
_RATIO = 200  # unpacked to packed size: texts shrink to a twentieth, zeros to a thousandth
_SMALL = 1 << 26  # bytes that may be unpacked at any ratio
_UNIX = 3  # the system whose file modes an entry has


def write_archive(final: Path, card: BundleCard, folders: Iterable[Path], *, option: str) -> None:
    """Write a bundle of these cells' folders, completely or not at all.

    Raises
    ------
    ZslbenchError
        The place, which ``option`` chose, cannot be written.
    """
    with new_file(final, option=option) as work, zipfile.ZipFile(work, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CARD_FILE, card.model_dump_json(indent=1))
        for folder in folders:
            for name in _FILES:
                if (folder / name).is_file():
                    archive.write(folder / name, f"cells/{folder.name}/{name}")


def unpack(path: Path, into: Path) -> BundleCard:
    """Write the cells of a bundle below ``into``, and return its card.

    Raises
    ------
    NotFoundError
        There is no such file.
    ZslbenchError
        It is no bundle, is damaged, or its entries are unsafe.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}; check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path, shutil.disk_usage(into).free)
            card = parsed(BundleCard, archive.read(CARD_FILE))
            for entry, (cell_id, name) in members.items():
                folder = into / "cells" / cell_id
                folder.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, (folder / name).open("xb") as target:
                    shutil.copyfileobj(source, target)  # it reads no more than the size that was checked
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise _refused(path, str(error) or type(error).__name__) from error
    return card


def _members(archive: zipfile.ZipFile, path: Path, free: int) -> dict[zipfile.ZipInfo, tuple[str, str]]:
    """Return the entries of cells with their ids and file names.

    Raises
    ------
    ZslbenchError
        An entry is not one that a bundle has, or all are too large.
    """
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if CARD_FILE not in names:
        raise _refused(path, f"it has no {CARD_FILE}")
    if len(set(names)) < len(names) or len(names) > _MOST_FILES:
        raise _refused(path, f"it has a file twice, or more than {_MOST_FILES:,} files")
    found = {}
    for entry in entries:
        match = _MEMBER.fullmatch(entry.filename)
        if match is None and entry.filename != CARD_FILE:
            raise _refused(path, f"a bundle has no file {entry.filename[:100]!r}")
        mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS or not _plain(mode):
            raise _refused(path, f"{entry.filename} is encrypted, packed by another method or not a plain file")
        if match:
            found[entry] = (match[1], match[2])
    size, packed = sum(entry.file_size for entry in entries), path.stat().st_size
    if archive.getinfo(CARD_FILE).file_size > _MOST_OF_CARD or size > max(_SMALL, _RATIO * packed):
        raise _refused(path, f"it would grow from {packed:,} to {size:,} bytes")
    if size > free:
        raise ZslbenchError(f"{path} needs {size:,} bytes and {free:,} are free; free some space.")
    return found


def _plain(mode: int) -> bool:
    return not stat.S_IFMT(mode) or stat.S_ISREG(mode)


def _refused(path: Path, why: str) -> ZslbenchError:
    return ZslbenchError(
        f"{path} is not a bundle of results ({why}); ask for a file that 'zslbench results export' wrote."
    )
