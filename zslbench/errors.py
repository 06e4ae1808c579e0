"""Errors that a user can fix.

The command line prints the sentence and exits with code 2. Any other exception is a bug and keeps its traceback (exit
code 1).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

Model = TypeVar("Model", bound="BaseModel")


class ZslbenchError(Exception):
    """Bad input or a missing resource; the message is one sentence that contains the remedy.

    Examples
    --------
    >>> from zslbench.datasets.splits import Split
    >>> Split(seen=("run", "walk"), unseen=("run",))
    Traceback (most recent call last):
    zslbench.errors.ZslbenchError: ...
    """


class NotFoundError(ZslbenchError):
    """A name that is not registered, not imported or does not exist.

    Examples
    --------
    >>> from zslbench.registry import get_method
    >>> get_method("action2vek")
    Traceback (most recent call last):
    zslbench.errors.NotFoundError: no method is called 'action2vek'. Did you mean action2vec...
    """


class CoverageError(ZslbenchError):
    """A feature set or class-vector source lacks classes that a split needs.

    Examples
    --------
    >>> from zslbench.datasets.catalog import get_dataset
    >>> from zslbench.semantics.class_vectors import open_semantics
    >>> open_semantics("minilm", get_dataset("hmdb51"), ["run", "walk"]).take(["jump"])
    Traceback (most recent call last):
    zslbench.errors.CoverageError: minilm was opened without jump; open it for these classes, too.
    """


class OutOfVocabularyError(ZslbenchError):
    """Class names contain words that a word-vector source does not know.

    Examples
    --------
    >>> from pathlib import Path
    >>> from zslbench.datasets.catalog import get_dataset
    >>> from zslbench.semantics.class_vectors import open_semantics
    >>> from zslbench.semantics.importing import import_semantics
    >>> _ = Path("glove.txt").write_text("run 0.1 0.3"); _ = import_semantics("glove", Path("glove.txt"))
    >>> open_semantics("glove", get_dataset("hmdb51"), ["run", "walk"])
    Traceback (most recent call last):
    zslbench.errors.OutOfVocabularyError: glove does not know words of 1 of 2 class names; use ...
    """


_MOST_LISTED = 60


def suggest(name: str, known: Iterable[str], *, most: int = _MOST_LISTED) -> str:
    """Return ``' Did you mean x?'`` or the known names, to follow a sentence.

    Parameters
    ----------
    name
        The name that the user typed.
    known
        Every valid name.
    most
        The largest number of names to list if none is similar.
    """
    names = sorted(known)
    plain = {each.casefold(): each for each in reversed(names)}
    close = [plain[each] for each in difflib.get_close_matches(name.casefold(), plain, n=3, cutoff=0.5)]
    if close:
        return f" Did you mean {' or '.join(close)}?"
    if len(names) > most:
        return f" Some that are: {', '.join(names[:most])}."
    return f" Known: {', '.join(names)}." if names else " None is registered."


def some(names: Sequence[str], most: int = 6) -> str:
    """Return the first names, and how many more there are.

    >>> some(["walk", "run", "wave"], most=2)
    'walk, run and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def problem(error: ValidationError, whole: str) -> str:
    """Return the place of the first wrong value and what is wrong with it; ``whole`` names the place of all values."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or whole
    return f"{place if place.isprintable() else repr(place)}: {first['msg']}"  # a key may be a hostile file's


def validated(model: type[Model], values: Mapping[str, Any], title: str) -> Model:
    """Return the model of these values.

    Raises
    ------
    ZslbenchError
        A name is unknown, or a value has a wrong type or range; the sentence begins with ``title``.
    """
    from pydantic import ValidationError

    if unknown := sorted(set(values) - set(model.model_fields)):
        raise ZslbenchError(f"{title} has no parameter {unknown[0]!r}.{suggest(unknown[0], model.model_fields)}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0] if first["loc"] else None
        # The message about a wrong choice lists the choices already.
        described = name in model.model_fields and len(first["loc"]) == 1 and first["type"] != "literal_error"
        more = f"; it takes {takes(model.model_fields[str(name)])}" if described else ""
        raise ZslbenchError(f"{title}.{problem(error, 'parameters')} (got {first['input']!r}){more}.") from error


_WORDS = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "a text", "NoneType": "null"}
_SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def takes(field: FieldInfo) -> str:
    """Return what a parameter takes, in words: its type with its limits, or its choices.

    >>> from zslbench.registry import get_method
    >>> takes(get_method("ridge").Params.model_fields["alpha"])
    'a number > 0 or null'
    """
    several = get_origin(field.annotation) in (Union, UnionType)
    kinds = get_args(field.annotation) if several else (field.annotation,)
    limits = [f"{sign} {getattr(each, name):g}" for each in field.metadata for name, sign in _SIGNS.items()
              if getattr(each, name, None) is not None]  # fmt: skip
    words = [_in_words(kind) for kind in kinds]
    return " or ".join([" and ".join([f"{words[0]} {limits[0]}", *limits[1:]]) if limits else words[0], *words[1:]])


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    name = kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
    return _WORDS.get(name, name)


def each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, as ``object_pairs_hook``; readers differ in which of two equal keys they take.

    >>> json.loads('{"top1": 0.2, "top1": 1.0}', object_pairs_hook=each_once)
    Traceback (most recent call last):
    ValueError: the key 'top1' occurs twice
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice")
    return found


def parsed(model: type[Model], content: str | bytes) -> Model:
    """Return the model of a JSON text, in which no key may occur twice: pydantic alone takes the last one.

    Raises
    ------
    ValueError
        It is not JSON or not of the model; the message is the reason in a few words.
    """
    from pydantic import ValidationError

    try:
        json.loads(content, object_pairs_hook=each_once)
        return model.model_validate_json(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValidationError as error:
        raise ValueError(problem(error, "the file")) from error
