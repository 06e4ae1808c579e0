"""Papers whose experiments can be repeated; each is a TOML file in a package.

The entry-point group ``zslbench.papers`` maps a name to a function that returns the path of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zslbench.errors import NotFoundError, ZslbenchError, problem, suggest
from zslbench.files import read_toml
from zslbench.registry import Registry

PAPERS = Registry("zslbench.papers", "paper")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Named(_Part):
    """What the paper used, in words, and how to recognise the same feature set or source of class vectors.

    Examples
    --------
    >>> Named(text="C3D, fc6, trained on Sports-1M", extractor="c3d", trained_on="sports1m").trained_on
    'sports1m'
    """

    text: str
    name: str = ""
    extractor: str = ""
    trained_on: str = ""


class Ratio(_Part):
    """Ratio of seen to unseen classes, and the split families with that ratio, the preferred one first.

    Examples
    --------
    >>> get_paper("action2vec").ratios[0]
    Ratio(name='50/50', families=('xu-50/50', 'random-50/50'))
    """

    name: str
    families: tuple[str, ...] = Field(min_length=1)


class TableRow(_Part):
    """One row of the paper's main table: its published name in the ledger, its method, and changed parameters.

    If ``name`` contains the paper's features, ``measured`` is the name of the measured row; ``{features}`` in it stands
    for the features used here. ``method`` is ``name`` or ``name:preset``.

    Examples
    --------
    >>> get_paper("action2vec").rows[1].method
    'action2vec:no-attention'
    """

    name: str
    published: str
    measured: str = ""
    method: str
    set: dict[str, Any] = {}


class Other(_Part):
    """A row that the paper quotes from another system, and why it is not run here.

    Examples
    --------
    >>> Other(name="ZSECOC", published="ZSECOC", why="no code was released").why
    'no code was released'
    """

    name: str
    published: str
    why: str


class Table2(_Part):
    """The comparison with other systems: names of rows of the main table, and quoted rows.

    Examples
    --------
    >>> get_paper("action2vec").table2.rows
    ('Action2Vec w/dual loss + attention', 'Pooled C3D fc7 (kernel ridge regression)')
    """

    rows: tuple[str, ...]
    others: tuple[Other, ...]


class Semantic(_Part):
    """The semantic tests: the row of the tested model, and the names of the three embeddings in the ledger.

    Examples
    --------
    >>> get_paper("action2vec").semantic.row
    'Action2Vec w/dual loss + attention'
    """

    row: str
    pooled: str
    class_vectors: str
    model: str
    note: str


class Table3(_Part):
    """WordNet matrices; ``diagonal`` says whether the paper's figures include it.

    Examples
    --------
    >>> get_paper("action2vec").table3.diagonal
    True
    """

    diagonal: bool
    note: str


class Table4(_Part):
    """Vector arithmetic, as in the paper.

    Examples
    --------
    >>> get_paper("action2vec").table4.metric
    'euclidean'
    """

    datasets: tuple[str, ...]
    metric: str
    exclude_source: bool
    note: str = ""


class Figure2(_Part):
    """t-SNE picture of class embeddings.

    Examples
    --------
    >>> get_paper("action2vec").figure2.datasets
    ('ucf101',)
    """

    datasets: tuple[str, ...]


class Figure4(_Part):
    """Examples of vector arithmetic.

    Examples
    --------
    >>> get_paper("action2vec").figure4.examples
    6
    """

    examples: int = Field(ge=1)


class Quick(_Part):
    """Settings with which everything runs in minutes: splits, and parameters per method.

    Examples
    --------
    >>> get_paper("action2vec").quick.splits
    '2'
    """

    splits: str
    set: dict[str, dict[str, Any]]


class Choice(_Part):
    """A point that the paper leaves open or contradicts itself on, and what is done here.

    ``quick`` is set if the quick settings do something else.

    Examples
    --------
    >>> Choice(issue="optimiser", here="Adam", quick="Adam, 2 epochs").here
    'Adam'
    """

    issue: str
    here: str
    quick: str = ""


class Paper(_Part):
    """A paper's experiments.

    Attributes
    ----------
    source
        The beginning of the sources of its rows in the ledger.
    datasets
        Columns of its tables.
    splits
        Default number of splits per family.
    notes
        Notes for all tables.
    table1_note
        Note for the main table.

    Examples
    --------
    >>> get_paper("action2vec").datasets
    ('hmdb51', 'ucf101', 'kinetics400')
    """

    title: str
    citation: str
    source: str
    datasets: tuple[str, ...] = Field(min_length=1)
    splits: str
    features: Named
    class_vectors: Named
    ratios: tuple[Ratio, ...] = Field(min_length=1)
    rows: tuple[TableRow, ...] = Field(min_length=1)
    table1_note: str = ""
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
        return self

    def row(self, name: str) -> TableRow:
        """Return the row of the main table with that name."""
        return next(row for row in self.rows if row.name == name)


def get_paper(name: str) -> Paper:
    """Return the paper of that name.

    Raises
    ------
    NotFoundError
        No package contains it.
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
        The file cannot be read, is not TOML, or has a missing, unknown or wrong key; the message names the key.
    """
    try:
        return Paper.model_validate(read_toml(path, "install the package of this paper again"))
    except ValidationError as error:
        raise ZslbenchError(f"the paper {path} is not valid ({problem(error, 'file')}); fix the file.") from error
