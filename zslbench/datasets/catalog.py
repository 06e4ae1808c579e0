"""Datasets that the user has added: one TOML file each, in ``data_root()/datasets``.

``NAME.toml`` contains the class names and their words. These datasets have the random split families. Their class
vectors come from imported word vectors, and from every shipped table whose encoder is known (``minilm``). If a shipped
table lacks some words, its encoder makes their vectors when the dataset is added. ``NAME/DIGEST/minilm.npz`` contains
the table and these vectors. The digest is that of the words, so that changed words never read these vectors.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.datasets.class_lists import read_class_names
from zslbench.datasets.class_names import name_key
from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest
from zslbench.errors import NotFoundError, OutOfVocabularyError, ZslbenchError, problem, suggest
from zslbench.files import check_name, data_root, new_file, read_json, read_toml
from zslbench.registry import DATASETS

LIST_SUFFIXES = (".txt", ".csv", ".tsv", ".json")  # of class lists
Encode = Callable[[Path, Sequence[str]], NDArray[np.float16]]

_DIGITS = "0123456789"
_WORDS = re.compile(r"\s*\w[\w .-]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_VERBS = ("add", "list", "lists", "remove", "show", "words")  # a dataset of such a name would hide a verb


class DatasetFile(BaseModel):
    """The contents of a user's TOML file.

    Attributes
    ----------
    phrases
        Class -> its words; the words of other classes are made from their names.
    videos_per_class
        Class -> expected number of videos, if known.

    Examples
    --------
    >>> given = DatasetFile(name="mine", classes=("OpenDoor", "wave"), phrases={"wave": "waving a hand"})
    >>> given.words()
    {'OpenDoor': 'open door', 'wave': 'waving a hand'}
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    display_name: str = ""
    citation: str = ""
    homepage: str = ""
    source: str = ""
    classes: tuple[str, ...]
    phrases: dict[str, str] = {}
    videos_per_class: dict[str, int] = {}

    def words(self) -> dict[str, str]:
        """Return class -> its words."""
        return {name: " ".join(self.phrases.get(name, words_of(name)).lower().split()) for name in self.classes}

    def dataset(self, vectors: Mapping[str, Path] | None = None) -> Dataset:
        """Return the dataset.

        Raises
        ------
        ZslbenchError
            Names or words are wrong; the message names them.
        """
        made = Dataset(
            **self.model_dump(include={"name", "classes", "citation", "homepage"}),
            display_name=self.display_name or self.name,
            phrases={"plain": self.words()},
            source=self.source or "yours",
            videos_per_class=self.videos_per_class or None,
            n_videos=sum(self.videos_per_class.values()) or None,
            phrase_sources={"plain": "the class names' words, or as you gave them"},
            vectors=vectors or {},
        )
        _check_classes(made, self)
        return made

    def toml(self) -> str:
        """Return the text of the file."""
        record = {key: value for key, value in self.model_dump(mode="json").items() if value}
        plain = {key: value for key, value in record.items() if not isinstance(value, dict)}
        lines = [f"{key} = {_toml(value)}" for key, value in plain.items()]
        for key, entries in record.items():
            if key not in plain:
                lines += ["", f"[{key}]", *(f"{_toml(name)} = {_toml(value)}" for name, value in entries.items())]
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    # Strings, numbers and arrays of JSON are valid TOML, except DEL: TOML forbids it raw, and JSON does not escape it.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def words_of(name: str) -> str:
    """Return the words of a class name: ``HandstandPushups`` and ``handstand_pushups`` are ``handstand pushups``."""
    name = re.sub(r"['’]s\b", "", name)
    split = (f" {c}" if _begins_word(name, i) else c if _of_word(c) else " " for i, c in enumerate(name))
    return " ".join("".join(split).lower().split())


def _of_word(character: str) -> bool:
    # Marks are not letters, but belong to words: vowel signs of Devanagari, accents stored as separate characters.
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _begins_word(name: str, i: int) -> bool:
    """Return whether a capital begins a word: in ``playTVGame``, T and G do."""
    if i == 0 or not name[i].isupper():
        return False
    return name[i - 1].islower() or (name[i - 1].isupper() and name[i + 1 : i + 2].islower())


def _check_classes(dataset: Dataset, given: DatasetFile) -> None:
    check_name(dataset.name, "a dataset")
    if "." in dataset.name or dataset.name in _VERBS:
        raise ZslbenchError(f"{dataset.name!r} cannot name a dataset; use no dot and no verb of 'zslbench datasets'.")
    if len(dataset.classes) < 2:
        raise ZslbenchError(f"{dataset.name} has {len(dataset.classes)} class; it needs at least two: add classes.")
    if unknown := sorted((given.phrases.keys() | given.videos_per_class.keys()) - set(dataset.classes)):
        hint = suggest(unknown[0], dataset.classes)
        raise ZslbenchError(f"{dataset.name} has words or videos of {unknown[0]!r}, which is no class.{hint}")
    if odd := [name for name in dataset.classes if not name.isprintable() or name != name.strip()]:
        raise ZslbenchError(
            f"{odd[0]!r} cannot name a class of {dataset.name}; give it a printable name without blanks at its ends."
        )
    keys = Counter(map(name_key, dataset.classes))
    if alike := [name for name in dataset.classes if keys[name_key(name)] > 1]:
        raise ZslbenchError(
            f"{dataset.name} has classes that differ only in case or punctuation: {', '.join(alike[:4])}; "
            f"rename or join them."
        )
    by_words: dict[str, str] = {}
    for name, words in dataset.phrases["plain"].items():
        if not words:
            raise ZslbenchError(f"the class {name!r} of {dataset.name} has no words; give some under [phrases].")
        if words in by_words:
            raise ZslbenchError(
                f"the words of {by_words[words]} and {name} of {dataset.name} are both {words!r}, so no method can "
                f"distinguish them; give other words under [phrases], or join the classes."
            )
        by_words[words] = name


def datasets_root() -> Path:
    """Return the folder of the user's datasets."""
    return data_root() / "datasets"


def dataset_path(name: str) -> Path:
    """Return the path of the file of a user's dataset, which may not exist."""
    return datasets_root() / f"{name}.toml"


def user_names() -> list[str]:
    """Return the names of the user's datasets, sorted."""
    return sorted(path.stem for path in datasets_root().glob("*.toml") if _NAME.fullmatch(path.stem))


def read_file(path: Path, name: str = "") -> DatasetFile:
    """Read a TOML file.

    Parameters
    ----------
    name
        The dataset's name if the file has none; a name in the file must be the same.

    Raises
    ------
    ZslbenchError
        It cannot be read, or its contents are wrong.
    """
    record = read_toml(path)
    if name and record.get("name", name) != name:
        raise ZslbenchError(f"{path} describes {record['name']!r}, not {name!r}; use that name.")
    try:
        return DatasetFile.model_validate({"name": name} | record if name else record)
    except ValidationError as error:
        raise ZslbenchError(f"{path}: {problem(error, 'the file')}; fix the file.") from None


def read_list(path: Path, name: str) -> DatasetFile:
    """Return a dataset of the classes in a class list, such as ``classInd.txt``, in the order of their numbers.

    Raises
    ------
    ZslbenchError
        It cannot be read, or is no class list (see :func:`zslbench.datasets.class_lists.read_class_names`).
    """
    return DatasetFile(name=name, classes=read_class_names(path).names, source=f"class list {path.name}")


def read_dataset(name: str) -> Dataset:
    """Return a user's dataset.

    Raises
    ------
    NotFoundError
        There is none of that name.
    ZslbenchError
        Its file cannot be read, or a plugin has taken its name.
    """
    path = dataset_path(name)
    if not path.is_file():
        raise NotFoundError(f"you have no dataset called {name!r}.{suggest(name, user_names())}")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=32)  # ``changed`` is the file's time, so an edited file is read again
def _read(path: Path, changed: int) -> Dataset:
    if path.stem in DATASETS.names():
        raise ZslbenchError(f"the dataset {path.stem!r} is in a package and in your data folder; rename {path}.")
    given = read_file(path, path.stem)
    own = _vectors_folder(given)
    tables = {
        source: own / table.name if (own / table.name).is_file() else table
        for source, table in shipped_tables().items()
    }
    return given.dataset(tables)


def _vectors_folder(given: DatasetFile) -> Path:
    """Return the folder of the tables with the dataset's own words."""
    return dataset_path(given.name).with_suffix("") / digest(list(given.words().values()))[:16]


def shipped_tables() -> dict[str, Path]:
    """Return source -> shipped table, for tables of plain phrases that name their encoder."""
    found: dict[str, Path] = {}
    for listed in DATASETS:
        if listed.problem is None:
            for source, path in registered_dataset(listed.name).vectors.items():
                card = path.with_suffix(".json")
                if card.is_file() and read_json(card).get("phrase_table") == "plain":
                    found.setdefault(source, path)
    return found


def add_dataset(given: DatasetFile, encode: Encode, *, replace: bool = False) -> Dataset:
    """Store a user's dataset with the vectors of words that shipped tables lack, and return it.

    Without the encoder of a table these vectors are left out.

    The file and the vectors appear together, or the earlier dataset stays, even if the process is killed.

    Parameters
    ----------
    encode
        Function from a shipped table and texts that it lacks to their (n, d) vectors:
        :func:`zslbench.semantics.encoder.encode_like`.
    replace
        Whether to replace a user's dataset of that name.

    Raises
    ------
    ZslbenchError
        The name is taken, names or words are wrong, or the files cannot be written. Nothing has changed then.
    """
    path = dataset_path(given.name)
    given.dataset()
    if given.name in DATASETS.names():
        raise ZslbenchError(f"{given.name} is already a dataset of a package; choose another name.")
    if (means := _meant(given.name, DATASETS.names())) != given.name:
        raise ZslbenchError(f"{given.name!r} means {means}, a dataset of a package; choose another name.")
    if path.exists() and not replace:
        raise ZslbenchError(f"you already have a dataset {given.name}; add --replace, or choose another name.")
    larger = _larger_tables(given, encode)
    folder = _vectors_folder(given)
    with contextlib.ExitStack() as stack:
        # Entered first, so renamed last: a reader that finds the new words also finds the folder of their vectors.
        stack.enter_context(new_file(path)).write_text(given.toml(), encoding="utf-8")
        for table, (phrases, vectors) in larger.items():
            work = stack.enter_context(new_file(folder / table.name))
            np.savez_compressed(work, phrases=phrases, vectors=vectors)
            card = table.with_suffix(".json")
            shutil.copyfile(card, stack.enter_context(new_file(folder / card.name)))
    for old in set(folder.parent.glob("*")) - {folder}:
        shutil.rmtree(old, ignore_errors=True)
    return read_dataset(given.name)


def _larger_tables(given: DatasetFile, encode: Encode) -> dict[Path, tuple[NDArray[Any], NDArray[Any]]]:
    """Return shipped tables that lack words and whose encoder is on this machine, with these words added."""
    words = list(given.words().values())
    larger = {}
    for table in shipped_tables().values():
        with np.load(table, allow_pickle=False) as arrays:
            phrases, vectors = arrays["phrases"], arrays["vectors"]
        if not (absent := [text for text in words if text not in set(phrases.tolist())]):
            continue
        with contextlib.suppress(OutOfVocabularyError):
            more = encode(table, absent)
            larger[table] = np.concatenate([phrases, np.array(absent)]), np.concatenate([vectors, more])
    return larger


def lists_path(name: str) -> Path:
    """Return the file of lists of videos that the user has stored for a dataset, whether or not it exists."""
    return data_root() / "lists" / f"{name}.json.gz"


def remove_dataset(name: str) -> Path:
    """Delete a user's dataset with its lists, and return the path of its file; features and results stay.

    Raises
    ------
    NotFoundError
        The user has no dataset of that name.
    """
    path = dataset_path(name)
    if name not in user_names():
        raise NotFoundError(f"you have no dataset called {name!r}.{suggest(name, user_names())}")
    path.unlink()  # first: without its file the dataset is gone, even if the process is killed here
    lists_path(name).unlink(missing_ok=True)
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    return path


@cache
def registered_dataset(name: str) -> Dataset:
    """Return the dataset of the plugin called ``name`` (see :meth:`Registry.get` for what it raises)."""
    dataset = DATASETS.get(name)()
    if not isinstance(dataset, Dataset):
        raise ZslbenchError(
            f"the dataset {name!r} returned {type(dataset).__name__}; it must return a zslbench.Dataset."
        )
    return dataset


def get_dataset(name: str) -> Dataset:
    """Return the dataset that ``name`` means (:func:`dataset_name`): a plugin's, or one that the user has added.

    Raises
    ------
    NotFoundError
        There is no such dataset; the message suggests the nearest names.
    ZslbenchError
        The plugin cannot be loaded (see :meth:`Registry.get`), or the user's file cannot be read.
    """
    name = dataset_name(name)
    if dataset_path(name).is_file():
        return read_dataset(name)
    try:
        return registered_dataset(name)
    except NotFoundError:
        if not (yours := user_names()):
            raise
        raise NotFoundError(f"no dataset is called {name!r}.{suggest(name, [*DATASETS.names(), *yours])}") from None


def dataset_name(text: str) -> str:
    """Return the name of the dataset that a text can only mean; another text as it is.

    Case, blanks and punctuation do not matter. The number may be missing, and the initial may stand for the word, if
    one dataset alone is meant.

    Examples
    --------
    >>> [dataset_name(text) for text in ("UCF-101", "hmdb", "K400", "Kinetics 700", "kinetics")]
    ['ucf101', 'hmdb51', 'kinetics400', 'kinetics700', 'kinetics']
    """
    return _meant(text, dataset_names())


def _meant(text: str, names: Sequence[str]) -> str:
    if text in names or not _WORDS.fullmatch(text):
        return text
    for form in (name_key, lambda name: name_key(name).rstrip(_DIGITS), _initial):  # the nearest form first
        if meant := [name for name in names if form(name) == name_key(text)]:
            return meant[0] if len(meant) == 1 else text
    return text


def _initial(name: str) -> str:
    key = name_key(name)
    return key[:1] + key[len(key.rstrip(_DIGITS)) :]


def dataset_names() -> list[str]:
    """Return the sorted names of all datasets, of plugins and of the user, without loading them."""
    return sorted({*DATASETS.names(), *user_names()})


def working_datasets() -> list[Dataset]:
    """Return every dataset that works, sorted by name; ``zslbench datasets`` says why the others do not."""
    found = []
    for name in dataset_names():
        with contextlib.suppress(ZslbenchError):
            found.append(get_dataset(name))
    return found
