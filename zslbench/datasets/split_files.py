"""Read and write split families: the JSON record that all families share, and the imported ones on disk.

An imported family is stored as ``data_root()/splits/<dataset>/<name>.json``.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from zslbench.datasets.splits import Split, SplitFamily, VideoChoice
from zslbench.datasets.video_ids import CODED_SIDES, VideoList
from zslbench.errors import NotFoundError, ZslbenchError, problem
from zslbench.files import check_name, data_root, new_file, read_json, read_toml


class _VideosRecord(BaseModel):
    """Class -> its videos, and per split one character per video: 1 trains, 2 is tested, 0 neither."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    videos: dict[str, list[str]]
    sides: list[str]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        n = sum(map(len, self.videos.values()))
        if any(len(text) != n or set(text) - set(CODED_SIDES) for text in self.sides):
            raise ValueError(f"each text of sides needs one of 0, 1 and 2 for each of the {n} videos")
        return self

    @cached_property
    def _class_of(self) -> dict[str, str]:
        return {video: name for name, videos in self.videos.items() for video in videos}

    def choice(self, split: int) -> VideoChoice:
        on: dict[str, list[str]] = {"": [], "train": [], "test": []}
        for video, side in zip(self._class_of, self.sides[split], strict=True):
            on[CODED_SIDES[side]].append(video)
        return VideoChoice.of(VideoList("own", tuple(on["train"]), tuple(on["test"]), class_of=self._class_of))

    @classmethod
    def of(cls, lists: Sequence[VideoList]) -> _VideosRecord:
        videos: dict[str, list[str]] = {}
        class_of = {video: name for each in lists for video, name in each.class_of.items()}
        for video in sorted(class_of):
            videos.setdefault(class_of[video], []).append(video)
        order = [video for of in videos.values() for video in of]
        code = {side: character for character, side in CODED_SIDES.items()}
        return cls(videos=videos, sides=["".join(code[side] for side in each.sides(order)) for each in lists])


class FamilyRecord(BaseModel):
    """A split family as JSON.

    Attributes
    ----------
    unseen
        The unseen class names of each split.
    seen
        The seen class names of each split; by default all classes that are neither unseen nor for validation.
    validation
        The class names of each split that are reserved for validation.
    seen_dataset
        The dataset of the seen classes, if it is another one.
    lists
        Which videos of each split train and which are tested, if the family says so.
    digest
        The family's digest; it shows whether the file was edited.

    Examples
    --------
    >>> record = FamilyRecord(dataset="toy", name="mine", unseen=[["wave"]])
    >>> record.family(["wave", "jump", "run"]).splits[0].seen
    ('jump', 'run')
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    name: str = ""
    source: str = ""
    note: str | None = ""
    unseen: list[list[str]]
    seen: list[list[str]] | None = None
    validation: list[list[str]] | None = None
    seen_dataset: str | None = None
    lists: _VideosRecord | None = None
    digest: str = ""
    created: str = ""

    def family(self, classes: Sequence[str]) -> SplitFamily:
        """Return the family; ``classes`` are those of the dataset."""
        splits = []
        for i, unseen in enumerate(self.unseen):
            validation = self.validation[i] if self.validation else []
            left_out = {*unseen, *validation}
            seen = self.seen[i] if self.seen else [name for name in classes if name not in left_out]
            videos = self.lists.choice(i) if self.lists else None
            splits.append(Split(tuple(seen), tuple(unseen), tuple(validation), self.seen_dataset, videos))
        return SplitFamily(self.name, self.dataset, tuple(splits), self.source, self.note or "")

    @classmethod
    def of(cls, family: SplitFamily, created: str = "") -> FamilyRecord:
        """Return the record of a family, with its digest."""
        validation = [list(split.validation) for split in family.splits]
        lists = [split.videos.own for split in family.splits if split.videos and split.videos.own]
        return cls(
            dataset=family.dataset,
            name=family.name,
            source=family.source,
            note=family.note,
            unseen=[list(split.unseen) for split in family.splits],
            seen=[list(split.seen) for split in family.splits],
            validation=validation if any(validation) else None,
            seen_dataset=family.splits[0].seen_dataset,
            lists=_VideosRecord.of(lists) if lists else None,
            digest=family.digest,
            created=created,
        )


def _content(path: Path) -> Any:
    toml = path.suffix.lower() == ".toml"
    return read_toml(path) if toml else read_json(path, "fix the file", says=f"{path} is no split family")


def is_record(path: Path) -> bool:
    """Return whether a JSON or TOML file tells a family, rightly or wrongly, and is no bare list of classes."""
    content = _content(path)
    return isinstance(content, dict) and "dataset" in content


def read_record(path: Path) -> FamilyRecord:
    """Return the record of a JSON file.

    Raises
    ------
    ZslbenchError
        The file cannot be read, or is not such a record.
    """
    try:
        record = FamilyRecord.model_validate(_content(path))
    except ValidationError as error:
        raise ZslbenchError(
            f'{path} is no split family: {problem(error, "the file")}; write {{"dataset": "ucf101", "unseen": '
            f'[["Archery", ...], ...]}}, and "seen" if it is not all other classes.'
        ) from None
    sides = record.lists.sides if record.lists else None
    lengths = {len(lists) for lists in (record.unseen, record.seen, record.validation, sides) if lists is not None}
    if lengths != {len(record.unseen)} or not record.unseen:
        raise ZslbenchError(
            f"{path} needs at least one split, and as many seen (and validation) lists as unseen ones; "
            "add the missing ones."
        )
    if record.seen_dataset and record.seen is None:
        raise ZslbenchError(f'{path} names a seen_dataset but no seen classes; list them under "seen".')
    return record


def _folder(dataset: str) -> Path:
    return data_root() / "splits" / dataset


def imported_names(dataset: str) -> list[str]:
    """Return the names of a dataset's imported families, sorted."""
    # Names of unfinished files begin with a dot.
    return sorted(path.stem for path in _folder(dataset).glob("[!.]*.json"))


def read_imported(dataset: str, name: str, classes: Sequence[str]) -> SplitFamily:
    """Return an imported family.

    Raises
    ------
    ZslbenchError
        Its file cannot be read, or was edited since the import.
    """
    path = _folder(dataset) / f"{name}.json"
    return _read(path, path.stat().st_mtime_ns if path.is_file() else 0, tuple(classes))


@lru_cache(maxsize=8)  # lists of videos take megabytes, and each cell reads its family
def _read(path: Path, stamp: int, classes: tuple[str, ...]) -> SplitFamily:
    record = read_record(path)
    family = record.family(classes)
    if family.digest != record.digest:
        raise ZslbenchError(f"{path} has been edited since its import; remove it and import the family again.")
    return family


def write_imported(families: Sequence[SplitFamily]) -> None:
    """Store families, all or none.

    Raises
    ------
    ZslbenchError
        A name cannot be a file name, or is taken.
    """
    for family in families:
        check_name(family.name, "a family")
        if family.name in imported_names(family.dataset):
            raise ZslbenchError(
                f"{family.dataset} already has an imported family {family.name}; "
                f"run 'zslbench splits remove {family.dataset} {family.name}' first, or choose another name."
            )
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    with contextlib.ExitStack() as stack:  # renames the files only after all are written
        for family in families:
            work = stack.enter_context(new_file(_folder(family.dataset) / f"{family.name}.json"))
            text = FamilyRecord.of(family, created).model_dump_json(indent=1, exclude_none=True)
            work.write_text(text, encoding="utf-8")


def remove_imported(dataset: str, name: str) -> Path:
    """Delete an imported family, and return the path of its file.

    Raises
    ------
    NotFoundError
        There is no imported family of that name.
    """
    if name not in imported_names(dataset):
        known = ", ".join(imported_names(dataset)) or "none"
        raise NotFoundError(f"{dataset} has no imported family {name!r}; imported: {known}.")
    path = _folder(dataset) / f"{name}.json"
    path.unlink()
    return path
