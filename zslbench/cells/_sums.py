"""Write and read ``SHA256SUMS``, the checksums of a cell's files, in the form of coreutils' ``sha256sum``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from zslbench.cells.cell import SUMS
from zslbench.digests import file_sha256
from zslbench.errors import ZslbenchError

_LINE = re.compile(r"([0-9a-f]{64})  ([\w.-]+)", re.ASCII)


def write_sums(folder: Path) -> None:
    """Write the checksums of all files of a folder."""
    sums = {path.name: file_sha256(path) for path in folder.iterdir()}
    (folder / SUMS).write_text(_text(sums), encoding="ascii", newline="\n")


def read_sums(folder: Path) -> dict[str, str]:
    """Return file -> SHA-256.

    Raises
    ------
    ZslbenchError
        The file is missing or has another form; the message is the reason in a few words.
    """
    try:
        content = (folder / SUMS).read_bytes()
    except FileNotFoundError as error:
        raise ZslbenchError(f"it has no {SUMS}, so an earlier version of zslbench wrote it") from error
    except OSError as error:
        raise ZslbenchError(f"{SUMS}: {error.strerror or error}") from error
    found = [_LINE.fullmatch(line) for line in content.decode("ascii", "replace").split("\n")[:-1]]
    sums = {match[2]: match[1] for match in found if match}
    if content != _text(sums).encode():  # another order, a line twice or in another form: some byte was changed
        raise ZslbenchError(f"{SUMS} was changed")
    return sums


def check_content(name: str, content: bytes, sums: dict[str, str]) -> None:
    """Compare the content of a file with its checksum.

    Raises
    ------
    ZslbenchError
        It differs, or there is no checksum.
    """
    if hashlib.sha256(content).hexdigest() != sums.get(name):
        raise ZslbenchError(f"{name} does not match {SUMS}")


def _text(sums: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
