"""Videos to features: threads or processes decode ahead, this thread computes batches across videos."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from zslbench.errors import ZslbenchError
from zslbench.video._decoders import prepare_in_processes
from zslbench.video.backbone import Backbone
from zslbench.video.decoding import Ending, PreparedClip, PreparedItem, failed, one_line, prepare_ahead
from zslbench.video.folders import VideoFile
from zslbench.video.reader_pyav import PyAVReader
from zslbench.video.recipe import Recipe, clip_length
from zslbench.video.sampling import Sampler
from zslbench.videos import FloatArray

BATCH_BYTES = 1 << 30  # inputs of a batch: at most 1 GiB


@dataclass
class VideoFeatures:
    """The result of one video.

    Attributes
    ----------
    file
        The video.
    rows
        Its features so far, (n, D) each; :attr:`features` joins them.
    indices
        The frames of each clip, as indices in the decoded stream.
    n_frames
        Number of decoded frames.
    reason
        Why there are no features; ``""`` if there are features.
    by_network
        Whether the backbone failed, not the file.
    warnings
        What was wrong with the file although there are features.

    Examples
    --------
    >>> from pathlib import Path
    >>> video = VideoFeatures(VideoFile("clip", Path("clip.mp4"), "wave"))
    >>> video.rows.append(np.zeros((2, 4096), dtype=np.float32))
    >>> video.features.shape
    (2, 4096)
    >>> video.fail("is empty (0 bytes)"); video.features is None
    True
    """

    file: VideoFile
    rows: list[FloatArray] = field(default_factory=list)
    indices: list[list[int]] = field(default_factory=list)
    n_frames: int = 0
    reason: str = ""
    by_network: bool = False
    warnings: list[str] = field(default_factory=list)
    ended: bool = False  # all clips are decoded
    waiting: int = 0  # decoded clips that are not computed yet

    @property
    def features(self) -> FloatArray | None:
        """(n, D) float32; ``None`` if there are none."""
        return np.concatenate(self.rows) if self.rows and not self.reason else None

    def end(self, ending: Ending) -> None:
        """Take over what decoding has found out."""
        self.ended = True
        self.n_frames, self.warnings = ending.n_frames, list(ending.warnings)
        if ending.reason:
            self.fail(ending.reason, by_network=ending.by_network)

    def fail(self, reason: str, *, by_network: bool = False) -> None:
        """Record why there are no features, and drop those of its first clips."""
        self.rows.clear()
        self.indices.clear()
        self.reason, self.by_network = reason, by_network


def extract_videos(
    parts: Sequence[Sequence[VideoFile]], backbone: Backbone, sampler: Sampler, reader: PyAVReader, *, workers: int = 0
) -> Generator[VideoFeatures]:
    """Yield the result of each video, in order; a video that fails does not stop the others.

    Batches depend only on the videos of a part and their order, not on timing or workers: the same videos give the
    same bits. Videos of the next parts are decoded while a part is computed.

    Parameters
    ----------
    parts
        The videos, in parts that share no batch.
    workers
        Processes that decode and preprocess; 0 for threads of this process.

    Raises
    ------
    ZslbenchError
        A batch does not fit into the GPU's memory, or a decoding process does not start.
    """
    files = list(chain.from_iterable(parts))
    if workers:
        prepared = prepare_in_processes(files, backbone, sampler, reader, workers)
    else:
        prepared = prepare_ahead(files, backbone, sampler, reader)
    with closing(prepared):
        for part in parts:
            yield from _compute_part(part, prepared, backbone)


def _compute_part(
    files: Sequence[VideoFile], prepared: Iterator[PreparedItem], backbone: Backbone
) -> Generator[VideoFeatures]:
    """Yield the results of some videos; their last batch is computed although it may be small."""
    begun: deque[VideoFeatures] = deque()
    batch: list[tuple[VideoFeatures, PreparedClip]] = []
    nbytes = 0
    for file in files:
        video = VideoFeatures(file)
        begun.append(video)
        while not isinstance(item := next(prepared), Ending):
            # A batch ends before it is too large for memory: long clips of large frames are computed one by one.
            if batch and nbytes + item.nbytes > BATCH_BYTES:
                _compute(batch, backbone)
                batch, nbytes = [], 0
            video.waiting += 1
            batch.append((video, item))
            nbytes += item.nbytes
            if len(batch) == backbone.params.batch_size:
                _compute(batch, backbone)
                batch, nbytes = [], 0
        video.end(item)
        while begun and begun[0].ended and not begun[0].waiting:
            yield begun.popleft()
    if batch:
        _compute(batch, backbone)
    yield from begun


def _compute(batch: list[tuple[VideoFeatures, PreparedClip]], backbone: Backbone) -> None:
    """Give each video the features of its clips; if a batch fails, compute each video alone to find the cause."""
    for video, _ in batch:
        video.waiting -= 1
    batch = [(video, clip) for video, clip in batch if not video.reason]
    if not batch:
        return
    try:
        features = backbone.compute_features([clip.inputs for _, clip in batch])
    except Exception as error:
        # By its words: torch, ONNX Runtime and CUDA have no common exception class for this.
        if "out of memory" in str(error).lower():
            raise ZslbenchError(
                f"{len(batch)} clips at a time do not fit into memory ({one_line(error)}); use a smaller --batch."
            ) from error
        if len({id(video) for video, _ in batch}) == 1:
            batch[0][0].fail(failed(backbone, error), by_network=True)
            return
        for each in dict.fromkeys(id(video) for video, _ in batch):
            own = [(video, clip) for video, clip in batch if id(video) == each]
            own[0][0].waiting += len(own)
            _compute(own, backbone)
        return
    for i, (video, clip) in enumerate(batch):
        # A copy: a view would keep the features of the whole batch in memory.
        video.rows.append(features[i * backbone.rows_per_clip : (i + 1) * backbone.rows_per_clip].copy())
        video.indices.append(clip.indices)


def try_out(recipe: Recipe) -> None:
    """Compute the features of a clip of noise: if that fails, the cause is not in the videos.

    Raises
    ------
    ZslbenchError
        The backbone fails: its weights, parameters or device cannot be used.
    """
    backbone = recipe.open_backbone()
    shape = (clip_length(recipe.open_sampler()), 240, 320, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    try:
        backbone.extract([noise])
    except ZslbenchError:
        raise
    except Exception as error:  # libraries raise anything if the weights do not fit
        raise ZslbenchError(
            f"{backbone.info.name} fails on a clip of noise ({one_line(error)}); fix its weights or settings."
        ) from error
