"""Papers whose experiments can be run again: each is a TOML file that a package offers.

The entry-point group ``zslbench.papers`` maps a name to a function that returns the path of the file.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.registry import Registry

PAPERS = Registry("zslbench.papers", "paper")
READINGS = ("default", "paper")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(_Part):
    """What the paper used, in words, and how a feature set or a source of class vectors is recognised as the same."""

    text: str
    name: str = ""
    extractor: str = ""
    trained_on: str = ""


class Ratio(_Part):
    """Share of seen and unseen classes, and the split families that stand for it, the preferred first."""

    name: str
    families: tuple[str, ...] = Field(min_length=1)


class Setting(_Part):
    """A method (``name`` or ``name:preset``) and parameters set on top."""

    method: str
    set: dict[str, Any] = {}


class TableRow(_Part):
    """One row of the paper's main table: its published name in the ledger, and what runs in each reading.

    ``measured`` names the measured row where ``name`` names the paper's features; ``{features}`` are those put in.
    """

    name: str
    published: str
    measured: str = ""
    default: Setting
    paper: Setting

    def setting(self, reading: str) -> Setting:
        """Return what runs in one of :data:`READINGS`."""
        return self.paper if reading == "paper" else self.default


class Other(_Part):
    """A row that the paper quotes of another system, and why it is not run."""

    name: str
    published: str
    why: str


class Table2(_Part):
    """The comparison with other systems: rows of the main table by name, and quoted ones."""

    rows: tuple[str, ...]
    others: tuple[Other, ...]


class Semantic(_Part):
    """The semantic tests: the row whose model is tested, and the ledger's names of the three embeddings."""

    row: str
    pooled: str
    class_vectors: str
    model: str
    note: str


class Table3(_Part):
    """WordNet matrices; ``diagonal`` tells whether the paper's figures count it."""

    diagonal: bool
    note: str


class Table4(_Part):
    """Vector arithmetic, as the paper measures it."""

    datasets: tuple[str, ...]
    metric: str
    exclude_source: bool
    note: str = ""


class Figure2(_Part):
    """t-SNE picture of class embeddings."""

    datasets: tuple[str, ...]


class Figure4(_Part):
    """Examples of vector arithmetic."""

    examples: int = Field(ge=1)


class Quick(_Part):
    """Settings by which everything runs in minutes: splits, and parameters by method."""

    splits: str
    set: dict[str, dict[str, Any]]


class Choice(_Part):
    """Where the paper is silent or contradicts itself, and what each reading does; ``quick`` where that does else."""

    issue: str
    default: str
    paper: str
    quick: str = ""

    def taken(self, reading: str, *, quick: bool) -> str:
        """Return what is done in one of :data:`READINGS`, under quick settings or not."""
        return (self.quick if quick else "") or (self.paper if reading == "paper" else self.default)


class Paper(_Part):
    """A paper's experiments.

    Attributes
    ----------
    source
        How the sources of its rows in the ledger begin.
    datasets
        Columns of its tables.
    splits
        Splits a family unless asked otherwise.
    readings
        Reading -> what it is.
    notes
        What a reader of any of its tables should know.
    table1_notes
        Reading -> what a reader of the main table should know of it.
    """

    title: str
    citation: str
    source: str
    datasets: tuple[str, ...] = Field(min_length=1)
    splits: str
    features: Named
    class_vectors: Named
    ratios: tuple[Ratio, ...] = Field(min_length=1)
    readings: dict[str, str]
    rows: tuple[TableRow, ...] = Field(min_length=1)
    table1_notes: dict[str, str] = {}
    table2: Table2
    semantic: Semantic
    table3: Table3
    table4: Table4
    figure2: Figure2
    figure4: Figure4
    quick: Quick
    notes: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()

    @model_validator(mode="after")
    def _names_meet(self) -> Paper:
        names = {row.name for row in self.rows}
        for name in (*self.table2.rows, self.semantic.row):
            if name not in names:
                raise ValueError(f"no row is called {name!r}")
        if set(self.readings) != set(READINGS):
            raise ValueError(f"readings are {' and '.join(READINGS)}")
        return self

    def row(self, name: str) -> TableRow:
        """Return the row of the main table with that name."""
        return next(row for row in self.rows if row.name == name)


def get_paper(name: str) -> Paper:
    """Return the paper of that name.

    Raises
    ------
    NotFoundError
        No package offers it.
    ZslbenchError
        Its package is broken, or its file is not valid.
    """
    if name not in PAPERS.names():
        raise NotFoundError(f"no paper is called {name!r}.{suggest(name, PAPERS.names())}")
    return read_paper(Path(PAPERS.get(name)()))


def read_paper(path: Path) -> Paper:
    """Return the paper that a TOML file describes.

    Raises
    ------
    ZslbenchError
        The file cannot be read, is no TOML, or lacks or has more than it should; the message names the key.
    """
    try:
        return Paper.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZslbenchError(f"the paper {path} cannot be read ({error}); install its package again.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ZslbenchError(f"the paper {path} is not valid ({where}: {first['msg']}); mend the file.") from error
