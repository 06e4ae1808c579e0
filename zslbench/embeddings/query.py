"""Arithmetic on named vectors, such as ``PlayingPiano - piano + violin``, and the classes nearest to the result."""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zslbench.embeddings.table import VectorTable
from zslbench.errors import NotFoundError, ZslbenchError

_CANDIDATES = 20_000  # names that difflib compares with an unknown one; it would take minutes on a million
_TOKEN = re.compile(r'[+-]?"[^"]*"|\S+')
_SIGNS = {"+": 1, "-": -1}


@dataclass(frozen=True)
class Term:
    """One summand of an expression.

    Attributes
    ----------
    sign
        1 or -1.
    name
        The name as spelt in its table.
    kind
        ``class`` or ``word``: the table that contains it.
    row
        Its row in that table.

    Examples
    --------
    >>> classes = VectorTable(("play piano", "swim"), np.eye(2, dtype=np.float32))
    >>> query("Play_Piano", classes).terms
    (Term(sign=1, name='play piano', kind='class', row=0),)
    """

    sign: int
    name: str
    kind: str
    row: int


@dataclass(frozen=True)
class Answer:
    """The terms of an expression, and the classes nearest to it with their cosines, the nearest first.

    Examples
    --------
    >>> classes = VectorTable(("play piano", "play violin", "swim"), np.array([[2, 1, 0], [2, 0, 1], [0, 0, 1]]))
    >>> words = VectorTable(("piano", "violin"), np.array([[0, 1, 0], [0, 0, 1]]))
    >>> query("play piano - piano + violin", classes, words).names
    ('play violin', 'swim')
    """

    terms: tuple[Term, ...]
    names: tuple[str, ...]
    cosines: tuple[float, ...]


def parse_expression(text: str) -> list[tuple[int, str]]:
    """Return (sign, name) of the summands of an expression.

    Signs stand alone or before a name. Names of several words may be quoted, but need not be.

    Raises
    ------
    ZslbenchError
        A sign has no name after it, or the expression is empty.

    Examples
    --------
    >>> parse_expression("playing piano - piano +violin")
    [(1, 'playing piano'), (-1, 'piano'), (1, 'violin')]
    """
    terms: list[tuple[int, list[str]]] = []
    for token in _TOKEN.findall(text):
        sign = _SIGNS.get(token[0])
        if sign is not None or not terms:
            terms.append((sign or 1, []))
        if name := (token if sign is None else token[1:]).strip('"'):
            terms[-1][1].append(name)
    if not terms or not all(parts for _, parts in terms):
        raise ZslbenchError(f"{text!r} has a sign without a name; write for example 'PlayingPiano - piano + violin'.")
    return [(sign, " ".join(parts)) for sign, parts in terms]


def query(
    text: str, classes: VectorTable, words: VectorTable | None = None, *, top: int = 10, include_terms: bool = False,
    scale: bool = True,
) -> Answer:  # fmt: skip
    """Return the classes nearest to an expression, by cosine.

    Parameters
    ----------
    text
        Names with + and - between them. A name is looked up among the classes, then among the words;
        ``word:archery`` and ``class:archery`` select one of the two.
    classes, words
        Vectors in the same space.
    top
        Number of classes.
    include_terms
        Whether classes of the expression may be the answer.
    scale
        Whether to scale each summand to unit length first, as word analogies (and gensim) do.

    Raises
    ------
    NotFoundError
        A name is in neither table; the message suggests others.
    ZslbenchError
        The expression cannot be read or its result is zero, or the tables have different dimensions.
    """
    if words is not None and words.vectors.shape[1] != classes.vectors.shape[1]:
        raise ZslbenchError(
            f"the words have {words.vectors.shape[1]} dimensions and the classes {classes.vectors.shape[1]}; "
            f"give words in the space of the classes."
        )
    terms = tuple(_term(sign, name, classes, words) for sign, name in parse_expression(text))
    total = np.zeros(classes.vectors.shape[1])
    for term in terms:
        table = words if term.kind == "word" and words is not None else classes
        vector = table.vectors[term.row].astype(np.float64)
        total += term.sign * (vector / (np.linalg.norm(vector) or 1) if scale else vector)
    if np.linalg.norm(total) < 1e-6:  # terms that cancel leave a rounding error, whose direction means nothing
        raise ZslbenchError(f"the result of {text!r} is zero, which is near no class; leave out a term.")
    cosines = _cosines(classes.vectors, total)
    taken = set() if include_terms else {term.row for term in terms if term.kind == "class"}
    # len(taken) more than asked for, because the terms of the expression are removed after sorting.
    order = [row for row in np.argsort(-cosines, kind="stable")[: top + len(taken)].tolist() if row not in taken][:top]
    return Answer(terms, tuple(classes.names[row] for row in order), tuple(cosines[order].tolist()))


def _cosines(vectors: NDArray[np.float32], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosine of every row, in the precision of the rows: a file may contain millions."""
    norms = np.linalg.norm(vectors, axis=1)
    dots = vectors @ (point / np.linalg.norm(point)).astype(np.float32)
    cosines: NDArray[np.float64] = np.divide(dots, norms, out=np.full(len(norms), -1.0), where=norms > 0)
    return cosines


def _term(sign: int, name: str, classes: VectorTable, words: VectorTable | None) -> Term:
    tables = {"class": classes} | ({} if words is None else {"word": words})
    prefix, colon, rest = name.partition(":")
    if colon and prefix in tables:
        tables, name = {prefix: tables[prefix]}, rest
    for kind, table in tables.items():
        if (row := table.find(name)) is not None:
            return Term(sign, table.names[row], kind, row)
    raise NotFoundError(f"{name!r} is {' and '.join(f'no {kind}' for kind in tables)}.{_hint(name, tables)}")


def _hint(name: str, tables: dict[str, VectorTable]) -> str:
    if re.search(r"\w[+-]\w", name):
        return " Leave spaces around + and -."
    near = []
    for kind, table in tables.items():
        alike = (known for known in table.names if known[:1].casefold() == name[:1].casefold())
        spelt = {known.casefold(): known for known in itertools.islice(alike, _CANDIDATES)}
        close = difflib.get_close_matches(name.casefold(), spelt, n=2, cutoff=0.6)
        near += [f"{spelt[match]} ({kind})" for match in close]
    return f" Did you mean {' or '.join(near)}?" if near else " The first column of the file lists the names."
