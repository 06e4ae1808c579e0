"""The ledger: published figures, each with its source. They are never ranked together with measured ones.

A package can add figures through the entry-point group ``zslbench.published``: a function without arguments that
returns mappings with the fields of :class:`Published`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from zslbench.errors import NotFoundError, ZslbenchError, problem
from zslbench.files import data_root, read_json
from zslbench.protocols.settings import all_settings
from zslbench.registry import Registry

LEDGERS = Registry("zslbench.published", "collection of published figures")
# Metrics of the matrix test and the analogy test, whose figures are not percentages.
COEFFICIENTS = ("spearman", "accuracy")
SETUP = ("backbone", "frames", "views", "pooling", "normalisation", "scorer", "prompt", "names")


class Published(BaseModel):
    """One published figure.

    Attributes
    ----------
    system
        Method and variant, as named in the source.
    dataset, protocol
        What it was measured on; the protocol as in the source (``50/50``, ``truze-v1``).
    metric
        ``top1``, ``top5``, ``mean-per-class``, ``base``, ``novel``, ``HM`` (per cent), ``spearman`` or ``accuracy``
        (between -1 and 1).
    value, decimals
        The figure, and the number of decimals in the source.
    spread, spread_over
        The source's plus-minus, and what it is taken over, with its convention.
    features, class_vectors
        Names of the system's inputs; ``None`` if unknown.
    transductive
        Whether it used unlabelled test videos; ``None`` if unknown.
    auxiliary_data
        Whether it was also trained on other datasets; ``None`` if unknown.
    source
        The publication, and the place in it.
    read_at_source
        False if the figure was read in another publication that quotes it.
    caveats
        What a reader must know before relying on the figure.
    method
        The method (with its preset) that is this system here; ``None`` if there is none.
    paper
        A short name of the source, such as ``x-clip``, which ``run --protocol-of`` takes; ``None`` if it has none.
    setting
        The setting of ``zslbench protocols`` that it was measured in; ``None`` if none of them is.
    setup
        What is known of the system's set-up: one of :data:`SETUP` -> words.
    apart
        Why no row here can be of the setting, in words. Tables of the same dataset show the figure with this reason.

    Examples
    --------
    >>> rows = filter_results(published_results(), system=["action2vec"], dataset=["hmdb51"], protocol=["50/50"])
    >>> rows[0].text, rows[0].metric, rows[0].read_at_source
    ('23.48', 'top1', True)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    system: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    protocol: str = Field(min_length=1)
    metric: str = Field(min_length=1)
    value: float
    decimals: int = Field(ge=0, le=6)
    spread: float | None = Field(default=None, ge=0)
    spread_over: str | None = None
    features: str | None = None
    class_vectors: str | None = None
    transductive: bool | None = None
    auxiliary_data: bool | None = None
    source: str = Field(pattern=r"\S")
    read_at_source: bool
    caveats: tuple[str, ...] = ()
    method: str | None = None
    paper: str | None = None
    setting: str | None = None
    setup: dict[str, str] = {}
    apart: str | None = None

    @field_validator("setting")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None and name not in all_settings():
            raise ValueError(f"no setting is called {name!r}; 'zslbench protocols' lists them")
        return name

    @field_validator("setup")
    @classmethod
    def _has_known_keys(cls, setup: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(setup.keys() - set(SETUP)):
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(SETUP)}")
        return setup

    @model_validator(mode="after")
    def _spread_is_over_something(self) -> Published:
        if (self.spread is None) != (self.spread_over is None):
            raise ValueError("spread and spread_over belong together")
        return self

    @property
    def text(self) -> str:
        """The figure as printed."""
        return f"{self.value:.{self.decimals}f}"

    @property
    def spread_text(self) -> str:
        """The plus-minus as printed, or nothing."""
        return "" if self.spread is None else str(self.spread)

    @property
    def in_percent(self) -> bool:
        """Whether the figure is a percentage."""
        return self.metric not in COEFFICIENTS

    @property
    def kind(self) -> str:
        """The protocol here whose rows a figure without a setting stands beside: ``few-shot`` or ``zsl``."""
        return "few-shot" if re.match(r"\d+-shot", self.protocol) else "zsl"

    @property
    def marks(self) -> tuple[str, ...]:
        """The marks that must be shown beside the figure: ``transductive``, ``auxiliary data``, ``quoted``."""
        marks = {
            "transductive": self.transductive,
            "auxiliary data": self.auxiliary_data,
            "quoted": not self.read_at_source,
        }
        return tuple(name for name, holds in marks.items() if holds)


def published_results() -> tuple[Published, ...]:
    """Return every published figure: those of the installed packages, in their order, then the imported ones.

    A package or a file whose figures cannot be used is left out; :func:`published_problems` says why.
    """
    return tuple(row for rows, _ in _sources() for row in rows)


def published_problems() -> tuple[str, ...]:
    """Return one sentence for each package and file that was left out of :func:`published_results`."""
    return tuple(problem for _, problem in _sources() if problem)


def imported_root() -> Path:
    """Return the folder of imported figures, one JSON file per task of a model."""
    return data_root() / "published"


def filter_results(
    rows: Iterable[Published],
    *,
    system: Iterable[str] = (),
    dataset: Iterable[str] = (),
    protocol: Iterable[str] = (),
    source: Iterable[str] = (),
) -> list[Published]:
    """Return the rows that pass every filter; an empty filter passes all rows.

    Parameters
    ----------
    system, protocol, source
        Parts of the name, in upper or lower case; one of them must occur.
    dataset
        Whole names.

    Raises
    ------
    NotFoundError
        No row passes a filter; the message lists the known values.
    """
    kept = list(rows)
    filters = {"dataset": dataset, "protocol": protocol, "system": system, "source": source}
    for name, values in filters.items():
        wanted = [value.casefold() for value in values]
        if not wanted:
            continue
        known = sorted({getattr(row, name) for row in kept})
        kept = [row for row in kept if _passes(getattr(row, name).casefold(), wanted, whole=name == "dataset")]
        if not kept:
            raise NotFoundError(f"no published figure has {name} {' or '.join(wanted)}; known are: {'; '.join(known)}.")
    return kept


def _passes(value: str, wanted: list[str], *, whole: bool) -> bool:
    return any(value == text if whole else text in value for text in wanted)


_Rows = tuple[tuple[Published, ...], str]  # and why there are none


def _sources() -> Iterator[_Rows]:
    yield from _of_packages()
    for path in sorted(imported_root().glob("[!.]*.json")):
        status = path.stat()
        yield _of_file(path, status.st_mtime_ns, status.st_size)


@cache
def _of_packages() -> tuple[_Rows, ...]:
    return tuple(_rows_or_problem(partial(_package, name)) for name in LEDGERS.names())


def _package(name: str) -> list[Published]:
    return read_rows(LEDGERS.get(name)(), name)


@cache
def _of_file(path: Path, _time: int, _size: int) -> _Rows:
    return _rows_or_problem(partial(_imported, path))


def _imported(path: Path) -> list[Published]:
    remedy = f"remove {path} and import it again"
    rows = read_json(path, remedy)
    return read_rows(rows if isinstance(rows, list) else [rows], path.name, remedy)


def _rows_or_problem(read: Callable[[], list[Published]]) -> _Rows:
    try:
        return tuple(read()), ""
    except ZslbenchError as error:
        return (), str(error)


def read_rows(
    rows: Iterable[object], name: str, remedy: str = "fix or uninstall the package that contains it"
) -> list[Published]:
    """Return validated rows; ``name`` and ``remedy`` are for the message.

    Raises
    ------
    ZslbenchError
        A row is not a valid :class:`Published`, for example without a source; the message names the first such row.
    """
    valid = []
    for i, row in enumerate(rows):
        try:
            valid.append(Published.model_validate(row))
        except ValidationError as error:
            raise ZslbenchError(
                f"row {i} of the published figures {name!r} is not valid ({problem(error, 'row')}); {remedy}."
            ) from error
    return valid
