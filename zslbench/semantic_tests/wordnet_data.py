"""WordNet's data: found where NLTK looks, or brought there from NLTK's server or from the system's own WordNet.

Debian's ``wordnet-base`` is WordNet 3.0 without the file ``lexnames``, which NLTK needs, and without ``index.sense``,
which NLTK needs for other languages only. NLTK 3.10 opens corpora only under its own data path, and only from folders
that no other account may write to. So the system's files are copied there.
"""

from __future__ import annotations

import re
import shutil
import subprocess  # only NLTK's downloader is run, with fixed arguments
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

from zslbench.errors import NotFoundError
from zslbench.files import new_directory

COMMAND = "zslbench resources wordnet"
SYSTEM_FOLDERS = (Path("/usr/share/wordnet"), Path("/usr/local/share/wordnet"))
_PARTS = ("adj", "adv", "noun", "verb")
_NEEDED = tuple(f"{kind}.{part}" for kind in ("data", "index") for part in _PARTS)
_WANTED = (*_NEEDED, *(f"{part}.exc" for part in _PARTS), "cntlist.rev", "index.sense", "lexnames")
_SECONDS = 60.0
_LICENCE = 4096  # bytes that hold the licence
_DOWNLOAD = """
import sys, nltk
nltk.data.path.insert(0, sys.argv[1])
try:
    nltk.download("wordnet", sys.argv[1], quiet=True, raise_on_error=True)
except ValueError as error:
    sys.exit(" ".join(str(error).split()))
"""

# lexnames(5WN): the lexicographer files in the order of their numbers, by syntactic category and its number there.
_LEXICOGRAPHER_FILES = (
    (3, "adj", "all pert"),
    (4, "adv", "all"),
    (1, "noun", "Tops act animal artifact attribute body cognition communication event feeling food group location "
     "motive object person phenomenon plant possession process quantity relation shape state substance time"),
    (2, "verb", "body change cognition communication competition consumption contact creation emotion motion "
     "perception possession social stative weather"),
    (3, "adj", "ppl"),
)  # fmt: skip


class WordNetData(NamedTuple):
    """The folder of the data, and their origin if this call brought them; an empty origin means that they existed.

    Examples
    --------
    >>> WordNetData(Path("nltk_data/corpora/wordnet"), origin="NLTK's server").path.name
    'wordnet'
    """

    path: Path
    origin: str = ""


class _FailedError(Exception):
    """One way of getting the data failed; the message is the reason."""


def find_wordnet() -> Path | None:
    """Return the folder or zip file of WordNet's data on NLTK's data path; ``None`` if there is none."""
    import nltk.data

    for name in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            found = nltk.data.find(name)
        except LookupError:
            continue
        # A zip file's pointer names the file in its own text only.
        path = Path(str(getattr(found, "path", ""))) if hasattr(found, "path") else Path(found.zipfile.filename)
        if path.suffix == ".zip" or all((path / file).is_file() for file in (*_NEEDED, "lexnames")):
            return path
    return None


def get_wordnet(*, seconds: float = _SECONDS) -> WordNetData:
    """Find WordNet's data, or bring them into NLTK's data folder: whole, or not at all.

    Parameters
    ----------
    seconds
        How long the downloader may take.

    Raises
    ------
    NotFoundError
        No way worked; the sentence names each that was tried and what can be done.
    """
    if found := find_wordnet():
        return WordNetData(found)
    folder = _nltk_folder() / "corpora" / "wordnet"
    ways: tuple[tuple[str, Callable[[Path, float], str]], ...] = (
        ("NLTK's server", _download),
        ("an installed WordNet", _installed),
    )
    reasons = []
    for title, way in ways:
        try:
            with tempfile.TemporaryDirectory() as scratch:
                origin = way(Path(scratch), seconds)
                _put(Path(scratch) / "wordnet", folder)
            return WordNetData(folder, origin)
        except (_FailedError, OSError, subprocess.TimeoutExpired) as error:
            reasons.append(f"{title} ({_sentence(error)})")
    raise NotFoundError(
        f"WordNet's data are not in {folder.parent} and could not be had from {'; '.join(reasons)}. Install your "
        f"system's package ('apt-get install wordnet-base' on Debian), or run 'python -m nltk.downloader wordnet' "
        f"where there is a network and copy the folder corpora/wordnet; then run '{COMMAND}' again."
    )


def open_wordnet() -> Any:
    """Return NLTK's reader of WordNet, opened once per process.

    Raises
    ------
    NotFoundError
        The data are missing; ``zslbench resources wordnet`` gets them.
    """
    found = find_wordnet()
    if found is None:
        raise NotFoundError(f"WordNet's data are not on NLTK's data path; run '{COMMAND}' to get them.")
    return _reader(found)


def wordnet_version(path: Path) -> str:
    """Return the version in the licence at the start of WordNet's data; only that file is opened.

    Parameters
    ----------
    path
        The result of :func:`find_wordnet`.
    """
    if path.suffix == ".zip":
        with ZipFile(path) as archive, archive.open("wordnet/data.adj") as file:
            head = file.read(_LICENCE)
    else:
        with (path / "data.adj").open("rb") as file:
            head = file.read(_LICENCE)
    found = re.search(rb"Word[nN]et (\d+(?:\.\d+)*) Copyright", head)
    return found[1].decode() if found else "of unknown version"


@cache
def _reader(path: Path) -> Any:
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        def map_wn(self, version: str = "wordnet") -> None:
            """Return no map to WordNet 3.0: only other languages need it, and it needs ``index.sense``."""

    name = "corpora/wordnet.zip/wordnet/" if path.suffix == ".zip" else "corpora/wordnet"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The multilingual functions")
        return Reader(nltk.data.find(name), None)


def _nltk_folder() -> Path:
    """Return the folder of NLTK's data path that data are written to: the first that exists, else the user's own."""
    from nltk.downloader import Downloader

    return Path(Downloader().default_download_dir())


def _download(scratch: Path, seconds: float) -> str:
    """Let NLTK's downloader fetch into ``scratch/wordnet``; in a process of its own, which a time limit can end."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _DOWNLOAD, str(scratch)],
        cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    archive = scratch / "corpora" / "wordnet.zip"
    if done.returncode:
        raise _FailedError(_last_line(done.stderr))
    if archive.is_file():
        shutil.unpack_archive(archive, scratch)
    else:
        (scratch / "corpora" / "wordnet").rename(scratch / "wordnet")
    return "NLTK's server"


def _installed(scratch: Path, _: float) -> str:
    for folder in SYSTEM_FOLDERS:
        if (folder / _NEEDED[0]).is_file():
            (scratch / "wordnet").symlink_to(folder)
            return str(folder)
    raise _FailedError(f"none in {' or '.join(map(str, SYSTEM_FOLDERS))}")


def _put(source: Path, folder: Path) -> None:
    """Copy WordNet's files to ``folder``, all at once, with ``lexnames`` and closed to other accounts' writing."""
    if absent := [file for file in _NEEDED if not (source / file).is_file()]:
        raise _FailedError(f"{', '.join(absent)} missing there")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_directory(folder, replace=True) as work:
        for file in _WANTED:
            if (source / file).is_file():
                shutil.copyfile(source / file, work / file)
        if not (work / "lexnames").is_file():
            (work / "lexnames").write_text(lexnames(), encoding="ascii")
        for written in work.iterdir():
            written.chmod(0o644)
        work.chmod(0o755)


def lexnames() -> str:
    """Return the content of WordNet's file ``lexnames``, as lexnames(5WN) documents it."""
    files = [(f"{part}.{topic}", number) for number, part, topics in _LEXICOGRAPHER_FILES for topic in topics.split()]
    return "".join(f"{i:02}\t{name}\t{number}\n" for i, (name, number) in enumerate(files))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def _sentence(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"no end after {error.timeout:.0f} s"
    return " ".join(str(error).split())
