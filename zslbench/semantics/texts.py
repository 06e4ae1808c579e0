"""Class descriptions: one definition and some attributes per class, shipped with a dataset or imported.

Imported descriptions are stored in ``data_root()/texts/<dataset>/<name>.json``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest
from zslbench.errors import NotFoundError, ZslbenchError, problem, some, suggest
from zslbench.files import check_name, data_root, new_file
from zslbench.semantics.text_files import by_kind, read_classes

SHIPPED = "shipped"
# Parsed once per process: hundreds of classes take longer than all other steps of opening a method's inputs.
_shipped: dict[Path, Mapping[str, Texts]] = {}
_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Texts(BaseModel):
    """The description of one class.

    Attributes
    ----------
    definition
        One sentence.
    kinds
        Kind of attribute (``objects``, ``scene``, ``body``, ``actions``) -> short phrases. Attributes without kinds
        have the kind ``attributes``. In files, this field is called ``attributes``.

    Examples
    --------
    >>> texts = Texts.model_validate(["Moving fast on foot.", "a road", "running shoes"])
    >>> texts.definition, texts.attributes
    ('Moving fast on foot.', ('a road', 'running shoes'))
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    definition: _Text
    kinds: dict[str, tuple[_Text, ...]] = Field(alias="attributes")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """Read the forms of :func:`zslbench.semantics.text_files.by_kind`."""
        return by_kind(value)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes of all kinds, one kind after the other."""
        return tuple(text for texts in self.kinds.values() for text in texts)

    @property
    def all(self) -> tuple[str, ...]:
        """The texts that methods get: the definition, then the attributes."""
        return (self.definition, *self.attributes)


class Author(BaseModel):
    """The language model that wrote texts.

    Attributes
    ----------
    model
        Its name, or its folder.
    revision, weights, address
        The commit on the hub, the digest of the weights, or the address that answered, as far as they are known.
    prompt
        What it was asked, with ``{}`` for the class and ``{n}`` for the number of lines.
    created
        The date.

    Examples
    --------
    >>> Author(model="a parrot", prompt="What is {}?", created="2026-01-01").address
    ''
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    revision: str = ""
    weights: str = ""
    address: str = ""
    prompt: str
    created: str


class TextsRecord(BaseModel):
    """A file of texts.

    Attributes
    ----------
    author
        The language model that wrote them, if one did and it is known.
    digest
        :func:`texts_digest` at the time of the import; empty in files that users write.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> record = read_texts(get_dataset("hmdb51").texts_file, get_dataset("hmdb51"))
    >>> len(record.classes), len(record.classes["run"].attributes)
    (51, 8)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    dataset: str = ""
    licence: str = ""
    version: str = ""
    source_file: str = ""
    digest: str = ""
    author: Author | None = None
    classes: dict[str, Texts]


def texts_digest(texts: Mapping[str, Texts]) -> str:
    """Return the digest of the texts that methods read; it does not depend on the order of the classes."""
    return digest({name: each.all for name, each in texts.items()})


def read_texts(path: Path, dataset: Dataset, *, uneven: bool = False, class_list: Path | None = None) -> TextsRecord:
    """Return the texts in a JSON, TOML or CSV file, classes in the dataset's order.

    Parameters
    ----------
    path
        ``{"classes": {class: {"definition": ..., "attributes": ...}}}``, or the inner table alone.
        ``attributes`` is a list, or one list per kind. A class can also be a single list that starts with the
        definition, or the definition alone, or a table of kinds (:func:`zslbench.semantics.text_files.by_kind`). Or a
        ``.csv`` or ``.tsv`` with a class and its texts per row, or the same as a list of JSON objects.
    uneven
        Whether classes may have different numbers of attributes.
    class_list
        The file of the classes in the order of the numbers that the file has for them, or ``canonical``.

    Raises
    ------
    ZslbenchError
        The file cannot be read, belongs to another dataset, has an unknown class, lacks a class, repeats an attribute,
        or has different numbers of attributes.
    """
    record = _parsed(path, dataset, class_list)
    if record.dataset not in ("", dataset.name):
        raise ZslbenchError(
            f"{path} has texts of {record.dataset}, not of {dataset.name}; import it for {record.dataset}."
        )
    found: dict[str, Texts] = {}
    for name, texts in record.classes.items():
        if (own := dataset.find_class(name)) is None:
            raise ZslbenchError(
                f"{path.name} has texts of {name!r}, which is no class of {dataset.name}; leave it out, or correct its "
                f"name.{dataset.class_hint(name)}"
            )
        if own in found:
            raise ZslbenchError(f"{path} has two entries for {own} of {dataset.name}; keep one of them.")
        if twice := [text for text, count in Counter(texts.attributes).items() if count > 1]:
            raise ZslbenchError(f"{path}: {name} has the attribute {twice[0]!r} twice; replace one of them.")
        found[own] = texts
    if missing := [name for name in dataset.classes if name not in found]:
        raise ZslbenchError(
            f"{path} has no texts of {len(missing)} of {len(dataset.classes)} {dataset.name} classes "
            f"({some(missing)}); add them: 'zslbench texts show {dataset.name} --json' shows the format."
        )
    if not uneven:
        _check_even(path, found)
    classes = {name: found[name] for name in dataset.classes}
    return record.model_copy(update={"dataset": dataset.name, "classes": classes})


def _parsed(path: Path, dataset: Dataset, class_list: Path | None) -> TextsRecord:
    value = read_classes(path, dataset, class_list)
    if isinstance(value, dict) and "classes" not in value:
        value = {"dataset": dataset.name, "classes": value}
    try:
        return TextsRecord.model_validate(value)
    except ValidationError as error:
        raise ZslbenchError(
            f'{path}: {problem(error, "the file")}; write {{"classes": {{"Archery": {{"definition": "...", '
            f'"attributes": ["...", ...]}}, ...}}}}.'
        ) from None


def _check_even(path: Path, texts: Mapping[str, Texts]) -> None:
    counts = {name: len(each.attributes) for name, each in texts.items()}
    usual = Counter(counts.values()).most_common(1)[0][0]
    if odd := [name for name, count in counts.items() if count != usual]:
        raise ZslbenchError(
            f"{path}: {odd[0]} has {counts[odd[0]]} attributes and most classes have {usual} ({len(odd)} differ); "
            f"give every class {usual}, or import it with --uneven for methods that can read that."
        )


def _folder(dataset: str) -> Path:
    return data_root() / "texts" / dataset


def imported_texts(dataset: str) -> list[str]:
    """Return the names of a dataset's imported texts, sorted."""
    return sorted(path.stem for path in _folder(dataset).glob("[!.]*.json"))


def texts_names(dataset: Dataset) -> list[str]:
    """Return the names of a dataset's texts: ``shipped`` if it has such texts, then the imported ones."""
    return [*([SHIPPED] if dataset.texts_file else []), *imported_texts(dataset.name)]


def author_of_texts(name: str, dataset: Dataset) -> Author | None:
    """Return the language model that wrote texts, if it is known.

    Raises
    ------
    ZslbenchError
        The file cannot be read.
    """
    if name == SHIPPED or name not in imported_texts(dataset.name):
        return None
    return read_texts(_folder(dataset.name) / f"{name}.json", dataset, uneven=True).author


def open_texts(name: str, dataset: Dataset) -> Mapping[str, Texts]:
    """Return class -> texts.

    Parameters
    ----------
    name
        ``shipped`` or the name of an import.
    dataset
        The dataset of the classes.

    Raises
    ------
    NotFoundError
        The dataset has no such texts.
    ZslbenchError
        The file cannot be read, or was edited since its import.
    """
    if name == SHIPPED and dataset.texts_file:
        if dataset.texts_file not in _shipped:
            _shipped[dataset.texts_file] = read_texts(dataset.texts_file, dataset).classes
        return _shipped[dataset.texts_file]
    if name not in imported_texts(dataset.name):
        known = texts_names(dataset)
        hint = suggest(name, known) if known else " It has none."
        raise NotFoundError(
            f"{dataset.name} has no class texts {name!r}.{hint} Import some with 'zslbench texts import "
            f"{dataset.name} FILE --name NAME' and choose them with --texts NAME."
        )
    path = _folder(dataset.name) / f"{name}.json"
    record = read_texts(path, dataset, uneven=True)
    if texts_digest(record.classes) != record.digest:
        raise ZslbenchError(f"{path} was edited after its import; remove it and import your own file again.")
    return record.classes


def import_texts(
    name: str, path: Path, dataset: Dataset, *, uneven: bool = False, class_list: Path | None = None
) -> TextsRecord:
    """Check a file of texts and store it under a name.

    Raises
    ------
    ZslbenchError
        The name is invalid or taken, the file is wrong (see :func:`read_texts`), or the data root cannot be written.
    """
    check_new_texts(name, dataset)
    record = read_texts(path, dataset, uneven=uneven, class_list=class_list)
    return save_texts(name, record.model_copy(update={"source_file": path.name}))


def check_new_texts(name: str, dataset: Dataset) -> None:
    """Refuse a name that no new texts can take.

    Raises
    ------
    ZslbenchError
        It is invalid or taken.
    """
    check_name(name, "texts")
    if name == SHIPPED:
        raise ZslbenchError(f"{name!r} cannot name texts: the shipped ones have that name; choose another --name.")
    if name in imported_texts(dataset.name):
        raise ZslbenchError(
            f"{dataset.name} has texts {name!r} already; run 'zslbench texts remove {dataset.name} {name}' first or "
            f"choose another --name."
        )


def save_texts(name: str, record: TextsRecord) -> TextsRecord:
    """Store checked texts under a name, and return them with their digest.

    Raises
    ------
    ZslbenchError
        The data root cannot be written.
    """
    record = record.model_copy(update={"digest": texts_digest(record.classes)})
    final = _folder(record.dataset) / f"{name}.json"
    with new_file(final) as work:
        work.write_text(record.model_dump_json(indent=1, by_alias=True), encoding="utf-8")
    return record


def remove_texts(name: str, dataset: Dataset) -> Path:
    """Delete imported texts and return the file that they were in.

    Raises
    ------
    NotFoundError
        Nothing of that name has been imported.
    """
    if name not in imported_texts(dataset.name):
        known = ", ".join(imported_texts(dataset.name)) or "none"
        raise NotFoundError(f"{dataset.name} has no imported texts {name!r}; imported: {known}.")
    path = _folder(dataset.name) / f"{name}.json"
    path.unlink()
    return path
