"""Public releases of features, as facts with sources; none of them is part of zslbench."""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from zslbench.errors import NotFoundError, suggest
from zslbench.files import read_toml

NOT_STATED = "not stated"
_FILE = Path(__file__).with_name("releases.toml")


class ReleaseFile(BaseModel):
    """A file with a stable direct address.

    Attributes
    ----------
    sha256
        Its digest, if it is known.

    Examples
    --------
    >>> ReleaseFile(url="https://example.org/a/features.zip?download=1").name
    'features.zip'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(urlsplit(self.url).path).name


class FeatureRelease(BaseModel):
    """A release; what its sources do not say is :data:`NOT_STATED`.

    Attributes
    ----------
    datasets
        Names of datasets, also of such that zslbench does not ship.
    source
        Where the facts were read.
    where
        How to get it.
    not_checked
        What could not be confirmed.
    command
        The import command, with ``{to}`` for the folder of the files; empty if the import does not read the layout.
    files
        Files with a stable direct address; empty if there is none.

    Examples
    --------
    >>> release = find_release("od-i3d")
    >>> release.datasets, release.trained_on, release.files
    (('ucf101', 'hmdb51'), 'not stated', ())
    >>> release.command_for("downloads").split()[6]
    'downloads/ucf101/i3d.mat'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    datasets: tuple[str, ...]
    what: str
    by: str
    extractor: str
    trained_on: str
    layout: str
    size: str
    licence: str
    page: str
    source: str
    where: str
    not_checked: tuple[str, ...]
    command: str
    files: tuple[ReleaseFile, ...] = ()

    def command_for(self, folder: str) -> str:
        """Return the import command for files in ``folder``."""
        return self.command.format(to=folder)


@cache
def releases() -> tuple[FeatureRelease, ...]:
    """Return all releases that are known.

    Examples
    --------
    >>> "tcaf-c3d-ucf101" in [release.name for release in releases()]
    True
    """
    return tuple(FeatureRelease.model_validate(entry) for entry in read_toml(_FILE)["release"])


def find_release(name: str) -> FeatureRelease:
    """Return a release by its name.

    Raises
    ------
    NotFoundError
        There is none.
    """
    found = {release.name: release for release in releases()}
    if name not in found:
        raise NotFoundError(f"no release is called {name!r}.{suggest(name, found)}")
    return found[name]
