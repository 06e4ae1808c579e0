"""Figures of MTEB's tasks on HMDB51, UCF101 and Kinetics, read from its result files into the ledger.

MTEB writes one JSON file per task into ``MODEL/REVISION/``, beside ``model_meta.json``. What a file does not say, such
as which classes and videos were tested, is in ``mteb_tasks.toml`` and becomes a caveat of the figure.
"""

from __future__ import annotations

import json
import re
import statistics
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zslbench.errors import NotFoundError, ZslbenchError, problem, suggest
from zslbench.files import new_files, read_json
from zslbench.ledger.published import Published, imported_root

_SOURCE = "mteb"  # of imported figures, as `run --protocol-of` takes it
_META = "model_meta.json"
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,79}(/[A-Za-z0-9_.+-]{1,80})?"  # file names are made of it
_WORD = r"[A-Za-z0-9_.+, -]{1,80}"
_APART = "@"  # between the parts of a file's name, and for the slash of a model's; in none of them
_DECIMALS = 2  # of per cents; MTEB stores six digits of a share
_NO_SPLIT = "No class split: the model gets no training videos from MTEB, and all classes are tested."
_ALWAYS = (
    "MTEB does not say whether the model was trained on videos of these classes.",
    "Frames, their number and the pooling are those of MTEB's code for the model.",
)


_Model = TypeVar("_Model", bound=BaseModel)


class _Meta(BaseModel):
    name: str = Field(pattern=f"^{_NAME}$")
    revision: str = Field(pattern=f"^{_WORD}$")


class _Draw(BaseModel):
    accuracy: float = Field(ge=0, le=1)


class _Score(BaseModel):
    model_config = ConfigDict(strict=True)

    accuracy: float = Field(ge=0, le=1)
    hf_subset: str = Field(pattern=f"^{_WORD}$")
    mteb_version: str | None = Field(default=None, pattern=f"^{_WORD}$")
    scores_per_experiment: list[_Draw] = Field(default=[], max_length=1000)


class _Result(BaseModel):
    model_config = ConfigDict(strict=True)

    task_name: str = Field(max_length=200)
    dataset_revision: str = Field(pattern=f"^{_WORD}$")
    mteb_version: str | None = Field(default=None, pattern=f"^{_WORD}$")
    scores: dict[Annotated[str, Field(pattern=f"^{_WORD}$")], list[_Score]] = Field(min_length=1)


@dataclass(frozen=True)
class MtebTask:
    """What a task of MTEB tests.

    Attributes
    ----------
    names, heard
        Its names in MTEB, and those of its variants in which the model also gets the sound.
    draws
        What a figure is the mean over, if a classifier is trained.
    setting, apart
        The setting here, or why there is none.

    Examples
    --------
    >>> mteb_tasks()["HMDB51ZeroShot"].setting
    'official-list-1'
    """

    names: Sequence[str]
    dataset: str
    protocol: str
    revision: str
    caveats: Sequence[str]
    heard: Sequence[str] = ()
    metric: str = "top1"
    prompt: str = ""
    class_names: str = ""
    draws: str = ""
    setting: str | None = None
    apart: str | None = None


@dataclass(frozen=True)
class Imported:
    """What was imported: figures by task, names of other tasks' files, and where the figures are.

    Examples
    --------
    >>> Imported({}, ["NFCorpus"], Path("published")).others
    ['NFCorpus']
    """

    figures: Mapping[str, Sequence[Published]]
    others: Sequence[str]
    folder: Path


@cache
def mteb_tasks() -> Mapping[str, MtebTask]:
    """Return name in MTEB -> task, for the datasets that are known here."""
    content = tomllib.loads(Path(__file__).with_name("mteb_tasks.toml").read_text(encoding="utf-8"))
    tasks = [MtebTask(**each) for each in content["tasks"]]
    return {name: task for task in tasks for name in (*task.names, *task.heard)}


def import_mteb(path: Path, model: str | None = None) -> Imported:
    """Read a result file of MTEB, or all below a folder, into the ledger; figures of the same files are replaced.

    Parameters
    ----------
    model
        The model's name, if there is no ``model_meta.json`` beside the file.

    Raises
    ------
    NotFoundError
        There is no such path, or nothing below it is of a known task.
    ZslbenchError
        A file is damaged, or does not say what model it is of. Nothing is imported then.
    """
    if path.is_dir():
        found = [each for each in sorted(path.rglob("*.json")) if each.name != _META]
        files = [each for each in found if each.stem in mteb_tasks()]
        others = [each.stem for each in found if each.stem not in mteb_tasks()]
        if not files:
            raise NotFoundError(
                f"{path} has no result of MTEB on HMDB51, UCF101 or Kinetics; its files are called TASK.json, "
                f"where TASK is one of {', '.join(mteb_tasks())}."
            )
    else:
        files, others = [path], []
    figures: dict[str, list[Published]] = {}
    read: dict[str, Path] = {}
    for file in files:
        name, rows = _read(file, model)
        if figures.setdefault(name, rows) != rows:
            raise ZslbenchError(
                f"{read[name]} and {file} have different figures of the same model, revision and task; import one of "
                f"them, or give each its own --model NAME."
            )
        read[name] = file
    folder = imported_root()
    folder.mkdir(parents=True, exist_ok=True)
    with new_files(folder, list(figures), replace=True) as work:
        for name, rows in figures.items():
            (work / name).write_text(json.dumps([row.model_dump() for row in rows], indent=1), encoding="utf-8")
    return Imported(figures, others, folder)


def imported_files(system: str) -> list[Path]:
    """Return the files of the imported figures of a system, whose name may be in any case.

    Raises
    ------
    NotFoundError
        There are none; the message suggests the nearest names.
    """
    files = {path: _system_of(path) for path in sorted(imported_root().glob("[!.]*.json"))}
    found = [path for path, name in files.items() if name.casefold() == system.casefold()]
    if not found:
        known = sorted(set(files.values()))
        hint = suggest(system, known) if known else ""
        raise NotFoundError(f"no figures of {system!r} have been imported.{hint}")
    return found


def _system_of(path: Path) -> str:
    """Return the system of an imported file, which its name has: a damaged file can be removed, too."""
    return path.name.rsplit(_APART, 2)[0].replace(_APART, "/")


def _meta_of(file: Path, model: str | None) -> _Meta:
    """Return the name and revision of a result's model, from the file beside it, its folders or ``model``."""
    beside = file.with_name(_META)
    if beside.is_file():
        record = read_json(beside, "copy it again")
    else:  # MTEB's folders are called org__name/revision
        *_, folder, revision = ("", "", *file.absolute().parent.parts)
        record = {"name": folder.replace("__", "/", 1), "revision": revision} if "__" in folder else {}
    if model is not None:
        if not re.fullmatch(_NAME, model):
            raise ZslbenchError(f"--model {model!r} is no name of a model, such as openai/clip-vit-base-patch16.")
        known = record if isinstance(record, dict) else {}
        if beside.is_file() and known.get("name", model) != model:
            raise ZslbenchError(f"{beside} names another model than --model {model}; leave out --model.")
        record = {"revision": "unknown", **known, "name": model}
    if record == {}:
        raise ZslbenchError(
            f"{file} does not say which model it is of, and has no {_META} beside it; add --model NAME."
        )
    return _valid(_Meta, record, beside if beside.is_file() else file)


def _read(file: Path, model: str | None) -> tuple[str, list[Published]]:
    """Return the name of the file in the ledger, and its figures."""
    result = _valid(_Result, read_json(file, "copy it again"), file)
    task = mteb_tasks().get(result.task_name)
    if task is None:
        raise NotFoundError(
            f"{file.name} is of the task {result.task_name!r} of MTEB, which is none on HMDB51, UCF101 or Kinetics."
            f"{suggest(result.task_name, mteb_tasks())}"
        )
    meta = _meta_of(file, model)
    many = sum(len(scores) for scores in result.scores.values()) > 1
    rows = [
        _row(result, task, meta, score, f", split {split}, subset {score.hf_subset}" if many else "")
        for split, scores in result.scores.items()
        for score in scores
    ]
    if not rows:
        raise ZslbenchError(f"{file} has no scores; run the task again.")
    return _APART.join([*meta.name.split("/"), meta.revision[:12], f"{result.task_name}.json"]), rows


def _row(result: _Result, task: MtebTask, meta: _Meta, score: _Score, part: str) -> Published:
    heard = result.task_name in task.heard
    version = score.mteb_version or result.mteb_version or "?"
    draws = [100 * each.accuracy for each in score.scores_per_experiment]
    spread = round(statistics.stdev(draws), _DECIMALS) if len(draws) > 1 and task.draws else None
    setup = {
        "backbone": f"{meta.name}, revision {meta.revision[:12]}",
        "prompt": task.prompt,
        "names": task.class_names,
    }
    return Published(
        system=meta.name,
        dataset=task.dataset,
        protocol=f"{task.protocol}{', with sound' if heard else ''}{part}",
        metric=task.metric,
        value=round(100 * score.accuracy, _DECIMALS),
        decimals=_DECIMALS,
        spread=spread,
        spread_over=None if spread is None else f"{task.draws}, ddof=1",
        features=meta.name,
        class_vectors=meta.name if task.prompt else None,
        transductive=False,
        source=f"MTEB {version}, task {result.task_name}",
        read_at_source=True,
        caveats=tuple(_caveats(result, task, heard=heard)),
        method=None if heard or task.draws or task.metric != "top1" else "nearest-text",
        paper=_SOURCE,
        setting=None if part or heard else task.setting,
        setup={key: value for key, value in setup.items() if value},
        apart=task.apart or (f"{task.protocol}{part}" if part else None),
    )


def _caveats(result: _Result, task: MtebTask, *, heard: bool) -> Iterable[str]:
    yield from task.caveats
    if heard:
        yield "The model also got the sound of the videos."
    if result.dataset_revision != task.revision:
        yield (
            f"Measured on revision {result.dataset_revision[:12]} of MTEB's copy of the dataset; the counts above are "
            f"those of {task.revision[:12]}."
        )
    if not task.draws:
        yield _NO_SPLIT
    yield from _ALWAYS


def _valid(model: type[_Model], record: object, file: Path) -> _Model:
    try:
        return model.model_validate(record)
    except ValidationError as error:
        raise ZslbenchError(
            f"{file} is not as releases of MTEB since 1.11 write it ({problem(error, 'file')[:200]}); check the file."
        ) from error
