"""Feature sets on disk: ``manifest.json``, ``videos.parquet`` and a memory-mapped ``features.npy``."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest, file_sha256
from zslbench.errors import ZslbenchError
from zslbench.features.transforms import ProjectedStore, Projection, Transform
from zslbench.files import damaged, data_root, stamp, stamped
from zslbench.videos import FrameStore, IntArray

SCHEMA_VERSION = 1
SIMULATED = "simulated"  # the name of the embedded default
_FILES = ("features.npy", "videos.parquet")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


class Manifest(BaseModel):
    """Provenance of a feature set; everything but ``created`` is part of its digest.

    Attributes
    ----------
    dim
        Values a frame, after ``transform`` where there is one.
    pca_fit
        The videos that a PCA, if any, was fitted on: ``all`` where one of several steps was fitted on all.
    transform
        Of a derived feature set: what it is made of, and how.
    tokens
        Rows a frame: 1, or 1 + its patches, the frame first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    dataset: str
    name: str
    classes_digest: str
    kind: Literal["pooled", "sequences"]
    dim: int
    dtype: Literal["float16", "float32"]
    n_videos: int
    n_frames: int
    extractor: str
    weights_digest: str | None = None
    trained_on: tuple[str, ...] = ()
    reader: str | None = None
    frame_indices: str | None = None
    pca_fit: Literal["all", "seen"] | None = None
    simulated: bool = False
    source: str = ""
    note: str = ""
    videos_digest: str
    files: dict[str, str]
    created: str = ""
    transform: Transform | None = None
    tokens: int = 1

    @cached_property
    def digest(self) -> str:
        """The feature set's identity: content and provenance, wherever it lies and whenever it was imported."""
        # The table counts by its content: its bytes differ between versions of the Parquet writer.
        left_out: dict[str, Any] = {"created": True, "source": True, "files": {"videos.parquet"}}
        if self.transform is None:
            left_out["transform"] = True  # results measured before there were derived sets keep their identity
        if self.tokens == 1:
            left_out["tokens"] = True  # and so do those from before there were patches
        return digest(self.model_dump(mode="json", exclude=left_out))

    @property
    def input_dim(self) -> int:
        """Values a frame before ``transform``."""
        return self.transform.dim if self.transform else self.dim


class FeatureSet:
    """One visual representation of a dataset's videos.

    Attributes
    ----------
    ids, groups, official
        (n,) video ids, source groups (``""`` where unknown) and ``train``/``test`` of the official list (or ``""``).
    labels
        (n,) places in ``dataset.classes``.
    lengths
        (n,) frames a video; all 1 if pooled.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.path = path
        self.dataset = dataset
        self.manifest = read_manifest(path)
        self._projected: ProjectedStore | None = None
        if self.manifest.classes_digest != dataset.digest:
            raise ZslbenchError(f"{path} was made for another class list of {dataset.name}; import the features again.")
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path / "videos.parquet")
        except (OSError, pa.ArrowException) as error:
            raise self._damaged("videos.parquet cannot be read") from error
        self.ids: list[str] = table["id"].to_pylist()
        self.groups: list[str] = table["group"].to_pylist()
        self.official: list[str] = table["official"].to_pylist()
        classes = table["class"].to_pylist()
        self.labels: IntArray = np.array([dataset.label_of[name] for name in classes], dtype=np.int64)
        self._offsets = table["offset"].to_numpy()
        self.lengths: IntArray = table["length"].to_numpy()

    @property
    def title(self) -> str:
        """``ucf101@vgg16``, with its coverage where it is partial."""
        name = f"{self.dataset.name}@{self.manifest.name}"
        total = len(self.dataset.classes)
        return name if len(self.covered) == total else f"{name}: {len(self.covered)} of {total} classes"

    @cached_property
    def covered(self) -> tuple[str, ...]:
        """The classes that have videos, in the dataset's order."""
        return tuple(self.dataset.classes[i] for i in np.unique(self.labels))

    @cached_property
    def counts(self) -> dict[str, int]:
        """Videos present, a class."""
        present = Counter(self.labels.tolist())
        return {self.dataset.classes[i]: present[i] for i in sorted(present)}

    @property
    def has_official_lists(self) -> bool:
        """Whether every video is on the official train or test list."""
        return all(side in ("train", "test") for side in self.official)

    def projection(self, rows: IntArray) -> Projection | None:
        """Return what a cell that trains on the videos ``rows`` projects by; ``None`` unless the set is derived."""
        return None

    def projected(self, projection: Projection | None) -> FrameStore:
        """Return the frames in the components of a PCA, whichever it was fitted for; as they are for ``None``.

        Raises
        ------
        ZslbenchError
            They have another number of values a frame than the PCA was fitted on.
        """
        if projection is None:
            return self.store
        if self._projected is None or self._projected.projection.key != projection.key:
            source = self._source
            if source.dim != len(projection.mean):
                raise ZslbenchError(
                    f"{self.title} has {source.dim} values a frame, and the PCA was fitted on {len(projection.mean)}; "
                    f"give it features of the extractor that it was fitted on."
                )
            self._projected = ProjectedStore(source, projection)  # one at a time: it may hold a kernel matrix
        return self._projected

    @property
    def _source(self) -> FrameStore:
        """What is projected."""
        return self.store

    @cached_property
    def store(self) -> FrameStore:
        """The frames, memory-mapped; shared by all views.

        Raises
        ------
        ZslbenchError
            The file is truncated or differs from its checksum.
        """
        self.check_unchanged()
        try:
            frames = np.load(self.path / "features.npy", mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError) as error:
            raise self._damaged(str(error)) from error
        if frames.shape != (self.manifest.n_frames, self.manifest.dim) or frames.dtype != self.manifest.dtype:
            raise self._damaged(f"it holds {frames.shape} {frames.dtype}")
        return FrameStore(frames, self._offsets, self.lengths, self.manifest.tokens)

    def check_unchanged(self) -> None:
        """Check the files against their checksums unless their size and time are those of the last check."""
        if not stamped(self.path, self.manifest.files):
            self.verify()

    def verify(self) -> None:
        """Check every file against its checksum.

        Raises
        ------
        ZslbenchError
            Naming the file that differs.
        """
        if name := damaged(self.path, self.manifest.files):
            raise self._damaged(f"{name} does not match its checksum")

    def _damaged(self, reason: str) -> ZslbenchError:
        name = f"{self.manifest.dataset} {self.manifest.name}"
        return ZslbenchError(
            f"the feature set {self.path} is damaged: {reason}; "
            f"run 'zslbench features remove {name}' and import it again."
        )


class FeatureWriter:
    """Write a feature set video by video; nothing appears under its name before :meth:`finish`.

    Parameters
    ----------
    folder
        A temporary folder (see :func:`zslbench.files.new_directory`).
    dim
        Values a frame.
    dtype
        How frames are stored.
    """

    def __init__(self, folder: Path, dim: int, dtype: str) -> None:
        self._folder = folder
        self._dim = dim
        self._dtype = np.dtype(dtype)
        self._rows: dict[str, list[Any]] = {n: [] for n in ("id", "class", "group", "official", "offset", "length")}
        self._n_frames = 0
        self._stream: IO[bytes] = (folder / "features.npy").open("wb")
        self._write_header()

    def close(self) -> None:
        """Close the file of an import that was given up; :meth:`finish` closes it otherwise."""
        self._stream.close()

    def _write_header(self) -> None:
        # numpy pads its header so that the number of rows can be filled in afterwards.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._n_frames, self._dim)}
        self._stream.seek(0)
        np.lib.format.write_array_header_1_0(self._stream, header)

    def append(
        self, ids: list[str], classes: list[str], groups: list[str], official: list[str], lengths: IntArray,
        frames: NDArray[Any],
    ) -> None:  # fmt: skip
        """Append some videos whose frames, (sum of lengths, D), follow one another."""
        ends = np.cumsum(lengths)
        columns = (ids, classes, groups, official, (self._n_frames + ends - lengths).tolist(), list(map(int, lengths)))
        for column, values in zip(self._rows.values(), columns, strict=True):
            column.extend(values)
        frames = np.ascontiguousarray(frames, dtype=self._dtype)
        if frames.shape != (ends[-1], self._dim):
            raise ValueError(f"expected {(int(ends[-1]), self._dim)} frames, got {frames.shape}")
        self._stream.write(frames.data)
        self._n_frames += len(frames)

    def finish(self, *, created: str = "", **manifest: Any) -> Manifest:
        """Write the table and the manifest; ``manifest`` holds the provenance fields of :class:`Manifest`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tokens = manifest.get("tokens", 1)
        if odd := [i for i, length in zip(self._rows["id"], self._rows["length"], strict=True) if length % tokens]:
            raise ZslbenchError(
                f"{odd[0]} has a number of rows that is no multiple of {tokens}, the rows a frame; check --tokens."
            )
        self._write_header()
        self._stream.close()
        types = dict.fromkeys(self._rows, pa.string()) | {"offset": pa.int64(), "length": pa.int64()}
        table = pa.table({name: pa.array(values, types[name]) for name, values in self._rows.items()})
        pq.write_table(table, self._folder / "videos.parquet")
        record = Manifest(
            dim=self._dim,
            dtype="float16" if self._dtype == np.float16 else "float32",
            n_videos=len(self._rows["id"]),
            n_frames=self._n_frames,
            videos_digest=digest(self._rows),
            files={name: file_sha256(self._folder / name) for name in _FILES},
            created=created,
            **manifest,
        )
        (self._folder / "manifest.json").write_text(record.model_dump_json(indent=1), encoding="utf-8")
        stamp(self._folder, record.files)
        return record


def read_manifest(path: Path) -> Manifest:
    """Return the manifest in a feature set's folder.

    Raises
    ------
    ZslbenchError
        There is none, or it cannot be read.
    """
    try:
        return Manifest.model_validate_json((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise ZslbenchError(f"{path} is no feature set ({reason}); remove the folder and import it again.") from error


def features_root() -> Path:
    """Return the folder that holds one folder a dataset, each with one folder a feature set."""
    return data_root() / "features"


def feature_path(dataset: str, name: str) -> Path:
    """Return the folder of one feature set, whether it exists or not."""
    return features_root() / dataset / name


def check_name(name: str) -> None:
    """Refuse what is no name of a feature set (``..`` would be another folder).

    Raises
    ------
    ZslbenchError
        Telling what a name may hold.
    """
    if not _NAME.fullmatch(name):
        raise ZslbenchError(
            f"{name!r} cannot name a feature set; use lower-case letters, digits, '.', '_' and '-', as in 'vgg16-fc6'."
        )
