"""Feature sets on disk: ``manifest.json``, ``videos.parquet`` and a memory-mapped ``features.npy``."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from zslbench.datasets.dataset import Dataset
from zslbench.digests import digest, file_sha256
from zslbench.errors import ZslbenchError, parsed
from zslbench.features.kept_means import KeptMeansStore
from zslbench.features.transforms import ProjectedStore, Projection, Transform
from zslbench.files import damaged, data_root, reading, stamp, stamped
from zslbench.videos import FrameStore, IntArray

SCHEMA_VERSION = 1
SIMULATED = "simulated"  # the name of the features that every dataset has by default
_FILES = ("features.npy", "videos.parquet")
_COLUMNS = ("id", "class", "group", "official", "offset", "length")


class Manifest(BaseModel):
    """Provenance of a feature set; its digest covers all fields but ``created`` and ``source``.

    Attributes
    ----------
    dim
        Values per frame, after ``transform`` if there is one.
    pca_fit
        The videos that a PCA, if any, was fitted on: ``all`` if one of several steps was fitted on all.
    transform
        The parent and the step of a derived feature set.
    tokens
        Rows per frame: 1, or 1 + its patches, the frame first.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.simulated import simulate
    >>> features = simulate(get_dataset("hmdb51"), name="small", videos_per_class=2)
    >>> features.manifest.kind, features.manifest.dim, features.manifest.simulated
    ('sequences', 128, True)
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
        """The feature set's identity: its content and provenance, but neither its place nor the time of its import."""
        # videos_digest covers the table's content. The file's bytes differ between versions of the Parquet writer.
        left_out: dict[str, Any] = {"created": True, "source": True, "files": {"videos.parquet"}}
        if self.transform is None:
            left_out["transform"] = True  # so results from before there were derived sets keep their identity
        if self.tokens == 1:
            left_out["tokens"] = True  # the same for results from before there were patches
        return digest(self.model_dump(mode="json", exclude=left_out))

    @property
    def input_dim(self) -> int:
        """Values per frame before ``transform``."""
        return self.transform.dim if self.transform else self.dim


class FeatureSet:
    """One visual representation of a dataset's videos.

    Attributes
    ----------
    ids, groups, official
        (n,) video ids, source groups (``""`` if unknown) and ``train``/``test`` of the official list (or ``""``).
    official_columns
        Number of an official list -> its column; 1 is ``official``.
    labels
        (n,) indices into ``dataset.classes``.
    lengths
        (n,) frames per video; all 1 if pooled.

    Examples
    --------
    >>> from zslbench import get_dataset
    >>> from zslbench.features.simulated import simulate
    >>> features = simulate(get_dataset("hmdb51"), name="small", videos_per_class=2)
    >>> features.title, len(features.ids), features.counts["wave"]
    ('hmdb51@small', 102, 2)
    >>> features.store.pooled().shape
    (102, 128)
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self.path = path
        self.dataset = dataset
        self.manifest = read_manifest(path)
        self._projected: ProjectedStore | None = None
        if self.manifest.classes_digest != dataset.digest:
            raise ZslbenchError(f"{path} was made for another class list of {dataset.name}; import the features again.")
        import pyarrow.parquet as pq

        with self._reading("videos.parquet"):
            table = pq.read_table(path / "videos.parquet")
            self.ids: list[str] = table["id"].to_pylist()
            self.groups: list[str] = table["group"].to_pylist()
            self.official: list[str] = table["official"].to_pylist()
            more = {int(n[9:]): table[n].to_pylist() for n in table.column_names if n.startswith("official_")}
            self.official_columns: dict[int, list[str]] = {1: self.official, **more}
            classes = table["class"].to_pylist()
            self.labels: IntArray = np.array([dataset.label_of[name] for name in classes], dtype=np.int64)
            self._offsets = table["offset"].to_numpy()
            self.lengths: IntArray = table["length"].to_numpy()

    @property
    def parts(self) -> tuple[FeatureSet, ...]:
        """The feature sets of an ensemble (:mod:`zslbench.features.ensemble`); this one alone if it is none."""
        return (self,)

    @property
    def origin(self) -> tuple[FeatureSet, IntArray]:
        """The stored feature set, and the rows of these videos in it: all, unless this is part of an ensemble."""
        return self, np.arange(len(self.ids))

    @property
    def title(self) -> str:
        """``ucf101@vgg16``, with the number of classes if some are missing."""
        name = f"{self.dataset.name}@{self.manifest.name}"
        total = len(self.dataset.classes)
        return name if len(self.covered) == total else f"{name}: {len(self.covered)} of {total} classes"

    @cached_property
    def covered(self) -> tuple[str, ...]:
        """The classes that have videos, in the dataset's order."""
        return tuple(self.dataset.classes[i] for i in np.unique(self.labels))

    @cached_property
    def counts(self) -> dict[str, int]:
        """Class -> number of present videos."""
        present = Counter(self.labels.tolist())
        return {self.dataset.classes[i]: present[i] for i in sorted(present)}

    @property
    def has_official_lists(self) -> bool:
        """Whether every video is on the official train or test list."""
        return all(side in ("train", "test") for side in self.official)

    def projection(self, rows: IntArray) -> Projection | None:
        """Return the PCA of a cell that trains on the videos ``rows``; ``None`` unless the set is derived."""
        return None

    def projected(self, projection: Projection | None) -> FrameStore:
        """Return the frames projected by any PCA, or unchanged for ``None``.

        Raises
        ------
        ZslbenchError
            The PCA was fitted on another number of values per frame.
        """
        if projection is None:
            return self.store
        if self._projected is None or self._projected.projection.key != projection.key:
            source = self._source
            if source.dim != len(projection.mean):
                raise ZslbenchError(
                    f"{self.title} has {source.dim} values per frame, but the PCA was fitted on "
                    f"{len(projection.mean)}; use features of the extractor that it was fitted on."
                )
            # Only one is kept, because it may contain a kernel matrix.
            self._projected = ProjectedStore(source, projection)
        return self._projected

    @property
    def _source(self) -> FrameStore:
        """The frames before the projection."""
        return self.store

    @cached_property
    def store(self) -> FrameStore:
        """The memory-mapped frames, shared by all views.

        Raises
        ------
        ZslbenchError
            The file is truncated or differs from its checksum.
        """
        self.check_unchanged()
        with self._reading("features.npy"):
            frames = np.load(self.path / "features.npy", mmap_mode="r", allow_pickle=False)
        if frames.shape != (self.manifest.n_frames, self.manifest.dim) or frames.dtype != self.manifest.dtype:
            raise self._damaged(f"its array is {frames.shape} {frames.dtype}")
        m = self.manifest
        content = f"{m.files['features.npy']} {m.videos_digest}"
        return KeptMeansStore(frames, self._offsets, self.lengths, m.tokens, self.path, content)

    def check_unchanged(self) -> None:
        """Check the files against their checksums unless their size and time are those of the last check."""
        if not stamped(self.path, self.manifest.files):
            self.verify()

    def verify(self) -> None:
        """Check every file against its checksum.

        Raises
        ------
        ZslbenchError
            A file differs; the message names it.
        """
        if name := damaged(self.path, self.manifest.files):
            raise self._damaged(f"{name} does not match its checksum")

    def _damaged(self, reason: str) -> ZslbenchError:
        return ZslbenchError(f"{self._says}: {reason}; {self._remedy}.")

    @property
    def _says(self) -> str:
        return f"the feature set {self.path} is damaged"

    @property
    def _remedy(self) -> str:
        return f"run 'zslbench features remove {self.manifest.dataset} {self.manifest.name}' and import it again"

    def _reading(self, name: str) -> contextlib.AbstractContextManager[None]:
        return reading(self.path / name, self._remedy, says=f"{self._says}: {name} cannot be read")


class FeatureWriter:
    """Write a feature set, video by video, into a temporary folder.

    Parameters
    ----------
    folder
        A temporary folder (see :func:`zslbench.files.new_directory`).
    dim
        Values per frame.
    dtype
        Type of the stored frames.

    Examples
    --------
    >>> import numpy as np
    >>> writer = FeatureWriter(Path("."), dim=4, dtype="float32")
    >>> frames = np.ones((5, 4))
    >>> writer.append(["a", "b"], ["wave", "run"], ["", ""], ["", ""], np.array([2, 3]), frames)
    >>> facts = {"dataset": "toy", "name": "ones", "classes_digest": "0", "kind": "sequences", "extractor": "none"}
    >>> writer.finish(**facts).n_frames
    5
    """

    def __init__(self, folder: Path, dim: int, dtype: str) -> None:
        self._folder = folder
        self._dim = dim
        self._dtype = np.dtype(dtype)
        self._rows: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        self._n_frames = 0
        self._stream: IO[bytes] = (folder / "features.npy").open("wb")
        self._write_header()

    def close(self) -> None:
        """Close the file if the import is abandoned; :meth:`finish` closes it otherwise."""
        self._stream.close()

    def _write_header(self) -> None:
        # numpy pads its header, so the number of rows can be written into it later without moving the data.
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": (self._n_frames, self._dim)}
        self._stream.seek(0)
        np.lib.format.write_array_header_1_0(self._stream, header)

    def append(
        self, ids: list[str], classes: list[str], groups: list[str], official: list[str], lengths: IntArray,
        frames: NDArray[Any], more_official: Mapping[int, list[str]] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Append videos; their frames, (sum of lengths, D), follow one another.

        ``more_official`` has further official lists by number. Each call must give the same ones.
        """
        ends = np.cumsum(lengths)
        columns = (ids, classes, groups, official, (self._n_frames + ends - lengths).tolist(), list(map(int, lengths)))
        # A further list makes a column only if there is one, so sets without keep their digests.
        more = {f"official_{number}": values for number, values in more_official.items()}
        for name, values in (dict(zip(_COLUMNS, columns, strict=True)) | more).items():
            self._rows.setdefault(name, []).extend(values)
        frames = np.ascontiguousarray(frames, dtype=self._dtype)
        if frames.shape != (ends[-1], self._dim):
            raise ValueError(f"expected {(int(ends[-1]), self._dim)} frames, got {frames.shape}")
        self._stream.write(frames.data)
        self._n_frames += len(frames)

    def finish(self, *, created: str = "", order: IntArray | None = None, **manifest: Any) -> Manifest:
        """Write the table and the manifest; ``manifest`` has the provenance fields of :class:`Manifest`.

        ``order`` has the indices of the appended videos in the order in which they are stored.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        tokens = manifest.get("tokens", 1)
        if odd := [i for i, length in zip(self._rows["id"], self._rows["length"], strict=True) if length % tokens]:
            raise ZslbenchError(
                f"the number of rows of {odd[0]} is not a multiple of {tokens}, the rows per frame; check --tokens."
            )
        self._write_header()
        self._stream.close()
        if order is not None:
            self._put_in_order(order.tolist())
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

    def _put_in_order(self, order: list[int]) -> None:
        """Store the videos in another order: their frames are copied, as sources can only be read from their start."""
        path, old = self._folder / "features.npy", self._folder / "unordered.npy"
        offsets, lengths = self._rows["offset"], self._rows["length"]
        path.rename(old)
        with old.open("rb") as source, path.open("wb") as self._stream:
            self._write_header()
            begin, size = self._stream.tell(), self._dim * self._dtype.itemsize
            for i in order:
                source.seek(begin + offsets[i] * size)
                self._stream.write(source.read(lengths[i] * size))
        old.unlink()
        self._rows = {name: [values[i] for i in order] for name, values in self._rows.items()}
        ends = np.cumsum(self._rows["length"])
        self._rows["offset"] = (ends - self._rows["length"]).tolist()


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a feature set's folder.

    Raises
    ------
    ZslbenchError
        There is none, or it cannot be read.
    """
    with reading(path / "manifest.json", "delete the folder and import it again", says=f"{path} is no feature set"):
        return parsed(Manifest, (path / "manifest.json").read_bytes())


def features_root() -> Path:
    """Return the folder that has one folder per dataset, each with one folder per feature set."""
    return data_root() / "features"


def feature_path(dataset: str, name: str) -> Path:
    """Return the folder of a feature set, which may not exist."""
    return features_root() / dataset / name
