"""Checksums of a folder's files, compared only when their sizes or times are not those of the last comparison."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from zslbench.digests import file_sha256

_NAME = "checked.json"


def stamp(folder: Path, files: Iterable[str]) -> None:
    """Remember the files' sizes and times: their checksums are right now."""
    with contextlib.suppress(OSError):  # a read-only data root: checked again next time
        (folder / _NAME).write_text(json.dumps(_stamps(folder, files)), encoding="utf-8")


def stamped(folder: Path, files: Iterable[str]) -> bool:
    """Whether the files have the sizes and times that were remembered."""
    with contextlib.suppress(OSError, ValueError):  # no file, or no stamps
        return bool(json.loads((folder / _NAME).read_text(encoding="utf-8")) == _stamps(folder, files))
    return False


def damaged(folder: Path, files: Mapping[str, str]) -> str | None:
    """Return the first file that is missing or differs from its SHA-256; where there is none, remember that."""
    for name, expected in files.items():
        if not (folder / name).is_file() or file_sha256(folder / name) != expected:
            return name
    stamp(folder, files)
    return None


def _stamps(folder: Path, files: Iterable[str]) -> dict[str, list[int]]:
    return {name: [(s := (folder / name).stat()).st_size, s.st_mtime_ns] for name in files}
