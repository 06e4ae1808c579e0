"""Files of class descriptions as they are released: tables, lists, numbered classes, and several texts by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zslbench.datasets.class_lists import CANONICAL, read_class_list
from zslbench.datasets.dataset import Dataset
from zslbench.errors import ZslbenchError
from zslbench.files import read_csv, read_json, read_toml

DEFINITIONS = (
    "definition",
    "description",
    "caption",
    "summary",
    "text",
)  # keys of the one sentence, first choice first


def read_classes(path: Path, dataset: Dataset, class_list: Path | None = None) -> Any:
    """Return class -> texts, or a whole record, of a JSON, TOML or CSV file, not checked yet.

    Parameters
    ----------
    class_list
        The file of the classes in the order of the numbers that stand for them, or ``canonical``.

    Raises
    ------
    ZslbenchError
        The file cannot be read, or numbers its classes and ``class_list`` is missing or has another length.
    """
    value: Any
    if (kind := path.suffix.lower()) in (".csv", ".tsv"):
        header, lines = read_csv(path, "\t" if kind == ".tsv" else "")
        value = _by_class(path, dataset, [header, *(row for _, row in lines)])
    else:
        value = read_toml(path) if kind == ".toml" else read_json(path)
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        keys = list(value[0])
        value = _by_class(path, dataset, [keys, *([_cell(each.get(key)) for key in keys] for each in value)])
    classes = value.get("classes", value) if isinstance(value, dict) else value
    if _in_order(classes):
        named = _named(path, dataset, classes, class_list)
        value = value | {"classes": named} if isinstance(value, dict) and "classes" in value else named
    elif class_list is not None:
        raise ZslbenchError(f"{path.name} names its classes; leave out --class-list.")
    return value


def _in_order(classes: Any) -> bool:
    """Return whether the places or the numbers of the texts stand for classes."""
    if isinstance(classes, list):
        return bool(classes) and all(isinstance(texts, list | str) for texts in classes)
    return isinstance(classes, dict) and _numbered(classes)


def _numbered(table: Mapping[str, Any]) -> bool:
    return bool(table) and all(key.isdecimal() for key in table)


def _named(path: Path, dataset: Dataset, classes: Any, class_list: Path | None) -> dict[str, Any]:
    """Return the texts under the names of the classes that the file has numbers for."""
    table = {int(key): texts for key, texts in (classes.items() if isinstance(classes, dict) else enumerate(classes))}
    if class_list is None:
        raise ZslbenchError(
            f"{path.name} numbers its classes; give --class-list FILE with the classes in that order, or '--class-list "
            f"canonical' for the order of 'zslbench datasets {dataset.name}'."
        )
    canonical = class_list == CANONICAL
    names = list(dataset.classes if canonical else read_class_list(dataset, class_list).names)
    first = 0 if 0 in table else 1
    if sorted(table) != list(range(first, first + len(names))):
        raise ZslbenchError(
            f"{path.name} has numbers for {len(table)} classes ({min(table)} to {max(table)}), and {class_list} names "
            f"{len(names)}; give the list of its own classes."
        )
    return {name: table[first + i] for i, name in enumerate(names)}


def by_kind(value: Any) -> Any:
    """Return the texts of one class as ``{"definition": ..., "attributes": {kind: [...]}}``, if they can be.

    A string is a definition; a list, or a table with numbers as keys, a definition and attributes. A table can have the
    definition under one of :data:`DEFINITIONS`, and each other key is a kind of attribute. Without one, the first text
    is the definition.

    Examples
    --------
    >>> by_kind({"description": "Somebody runs.", "objects": ["shoes"], "scene": "a road"})
    {'definition': 'Somebody runs.', 'attributes': {'objects': ['shoes'], 'scene': ['a road']}}
    >>> by_kind({"1": "Somebody runs.", "2": "shoes"})
    {'definition': 'Somebody runs.', 'attributes': {'attributes': ['shoes']}}
    """
    if isinstance(value, str):
        return {"definition": value, "attributes": {}}
    if isinstance(value, dict) and _numbered(value):
        value = [value[key] for key in sorted(value, key=int)]
    if isinstance(value, list) and value:
        return {"definition": value[0], "attributes": {"attributes": value[1:]} if value[1:] else {}}
    if not isinstance(value, dict) or not value:
        return value
    found: dict[str, Any] = {}
    for key, texts in value.items():
        inner = texts if isinstance(texts, dict) and key == "attributes" and not _numbered(texts) else {key: texts}
        found |= {kind: _listed(each) for kind, each in inner.items()}
    key = next((name for name in DEFINITIONS if name in found), next(iter(found)))
    first = found.pop(key)
    if not isinstance(first, list) or not first:
        return value
    rest = {key: first[1:]} if first[1:] else {}
    return {"definition": first[0], "attributes": rest | found}


def _listed(texts: Any) -> Any:
    if isinstance(texts, str):
        return [texts]
    if isinstance(texts, dict) and _numbered(texts):
        return [texts[key] for key in sorted(texts, key=int)]
    return texts


def _cell(value: Any) -> str | list[str]:
    """Return a value of a JSON table as text, or as texts."""
    if isinstance(value, list):
        return [str(each) for each in value]
    return "" if value is None else str(value)


def _by_class(path: Path, dataset: Dataset, rows: Sequence[Sequence[str | list[str]]]) -> dict[str, Any]:
    """Return the texts of each class in a table: one column has the classes, and all others that are no numbers texts.

    Several rows of a class are several texts. The first row is a header, unless it has a class. If it names a column
    of :data:`DEFINITIONS`, the texts stand under the names of their columns.
    """
    width = max(map(len, rows), default=0)
    if any(len(row) != width for row in rows):
        raise ZslbenchError(
            f"{path.name} has rows of different lengths; put texts with commas between quotation marks."
        )
    columns = list(zip(*rows, strict=True))
    known = [sum(_class_of(dataset, cell) is not None for cell in column) for column in columns]
    at = known.index(max(known)) if known else 0
    texts = [i for i, column in enumerate(columns) if i != at and any(map(str.isalpha, "".join(map(str, column[1:]))))]
    if not known or known[at] * 2 < len(rows) or not texts:
        raise ZslbenchError(
            f"{path.name} needs a column of class names of {dataset.name} and one of texts; write it as 'class,text'."
        )
    headed = _class_of(dataset, rows[0][at]) is None
    kinds = [str(cell).strip().lower() for cell in rows[0]]
    by_column = headed and len(texts) > 1 and any(kinds[i] in DEFINITIONS for i in texts)
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows[1:] if headed else rows:
        held = found.setdefault(_class_of(dataset, row[at]) or str(row[at]), {})
        for i in texts:
            if cell := row[i]:
                held.setdefault(kinds[i] if by_column else "", []).extend([cell] if isinstance(cell, str) else cell)
    return found if by_column else {name: held.get("", []) for name, held in found.items()}


def _class_of(dataset: Dataset, cell: str | list[str]) -> str | None:
    return dataset.find_class(cell) if isinstance(cell, str) else None
