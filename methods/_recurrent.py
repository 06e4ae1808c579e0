"""Recurrent encoders of ragged sequences: hierarchical with soft attention, stacked, single.

Nothing is computed for an absent slot. The sequences of a batch are sorted by length, and a step of the recurrence sees
only those that still run (figure 1 and section 3.2 of arXiv:1901.00484).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zslbench_methods._networks import ClassNetwork, Linear, SharedWeight, uniform
from zslbench_methods._ranking import Ranking, classification_loss, ranking_loss

IntArray = NDArray[np.int64]
Arch = Literal["hrnn", "stacked", "single"]


@dataclass(frozen=True)
class Pack:
    """Sequences of rows of a matrix, the longest first.

    Attributes
    ----------
    steps
        (S, T) row of each step; past a sequence's end its last row again, which no step looks at.
    memory, mask
        (S, M) rows that attention may look at, and which of them exist.
    active
        (T,) number of sequences that have a step t.
    order
        (S,) place of each sorted sequence in the caller's order.
    """

    steps: Tensor
    memory: Tensor
    mask: Tensor
    active: list[int]
    order: Tensor


def pack(
    starts: IntArray,
    lengths: IntArray,
    memory: tuple[IntArray, IntArray] | None = None,
    device: torch.device | str = "cpu",
) -> Pack:
    """Sort sequences by length and list their rows.

    Parameters
    ----------
    starts, lengths
        (S,) first row and number of rows of each sequence; every length is at least 1.
    memory
        Such starts and lengths of the rows open to attention; the sequence's own by default.
    device
        Where the index arrays go.
    """
    order = np.argsort(-lengths, kind="stable")
    first, count = (array[order] for array in (memory or (starts, lengths)))
    starts, lengths = starts[order], lengths[order]
    step, place = np.arange(int(lengths.max())), np.arange(int(count.max()))
    arrays = (
        starts[:, None] + np.minimum(step, lengths[:, None] - 1),
        first[:, None] + np.minimum(place, count[:, None] - 1),
        place < count[:, None],
        order,
    )
    steps, rows, mask, places = (torch.from_numpy(array).to(device) for array in arrays)
    return Pack(steps, rows, mask, (lengths[:, None] > step).sum(axis=0).tolist(), places)


class AttentiveLSTM(nn.Module):
    """An LSTM over packed sequences whose input at each step may be a soft choice among the sequence's rows.

    ``e_j = w' tanh(W_a x_j + U_a h + b_a)``, ``alpha = softmax_j e_j``, ``c = sum_j alpha_j x_j`` is the input of the
    step (Bahdanau et al., arXiv:1409.0473; section 3.2 of Action2Vec). Weights and gates are laid out as in
    torch.nn.LSTM (input, forget, cell, output), with one bias instead of two.

    Parameters
    ----------
    inputs, hidden
        Sizes of a row and of the state.
    attention
        Size of the attention's hidden layer; 0 for none, where step t reads row t.
    generator
        Source of the initial weights.
    """

    def __init__(self, inputs: int, hidden: int, attention: int, generator: torch.Generator) -> None:
        super().__init__()
        self.hidden, self.attention = hidden, attention
        self.weight_ih = uniform(4 * hidden, inputs, fan_in=hidden, generator=generator)
        self.weight_hh = uniform(4 * hidden, hidden, fan_in=hidden, generator=generator)
        self.bias = uniform(4 * hidden, fan_in=hidden, generator=generator)
        if attention:
            self.keys = Linear(inputs, attention, generator)  # W_a and b_a
            self.query = uniform(attention, hidden, fan_in=hidden, generator=generator)  # U_a
            self.energy = uniform(attention, fan_in=attention, generator=generator)  # w

    def forward(self, x: Tensor, packed: Pack) -> tuple[Tensor, list[Tensor]]:
        """Run over the sequences of rows of ``x``.

        Parameters
        ----------
        x
            (n_rows, inputs).
        packed
            The sequences.

        Returns
        -------
        last : (S, hidden)
            Last state of each sequence, in the caller's order.
        states : list of (active[t], hidden)
            The states after each step, the longest sequence first.
        """
        # W_hh and U_a meet the same state: one product for both.
        recurrent = SharedWeight(torch.cat([self.weight_hh, self.query]) if self.attention else self.weight_hh)
        if self.attention:
            keys, values = self.keys.forward(x)[packed.memory], x[packed.memory]
            weight_ih = SharedWeight(self.weight_ih)
        else:  # the input's part does not depend on the state: one product for all steps
            projected = nn.functional.linear(x, self.weight_ih, self.bias)
        states: list[Tensor] = []
        cell = x.new_zeros(len(packed.order), self.hidden)
        for t, n in enumerate(packed.active):
            back = recurrent.product(states[-1][:n]) if t else None
            if self.attention:
                query = back[:, 4 * self.hidden :] if back is not None else None
                chosen = self._attend(keys[:n], values[:n], packed.mask[:n], query)
                gates = weight_ih.product(chosen) + self.bias
            else:
                gates = projected[packed.steps[:n, t]]
            if back is not None:
                gates = gates + back[:, : 4 * self.hidden]
            write, keep, new, read = gates.chunk(4, dim=1)
            cell = keep.sigmoid() * cell[:n] + write.sigmoid() * new.tanh()
            states.append(read.sigmoid() * cell.tanh())
        return _last(states, packed), states

    def _attend(self, keys: Tensor, values: Tensor, mask: Tensor, query: Tensor | None) -> Tensor:
        """Return c, (n, inputs), for keys (n, M, attention), values (n, M, inputs), mask (n, M), query (n, attention).

        ``query`` is None at the first step, where the state is zero.
        """
        hidden = keys if query is None else keys + query[:, None, :]
        energy = hidden.tanh() @ self.energy.to(hidden.dtype)
        weight = energy.masked_fill(~mask, float("-inf")).softmax(dim=1).to(values.dtype)
        return torch.bmm(weight[:, None, :], values)[:, 0]


def _last(states: list[Tensor], packed: Pack) -> Tensor:
    """Return the last state of each sequence in the caller's order."""
    ends = [*packed.active[1:], 0]
    blocks = [state[end:] for state, end in zip(states, ends, strict=True)]
    last = torch.cat(blocks[::-1])  # the longest end last: their block comes first
    return torch.empty_like(last).index_copy(0, packed.order, last)


def _dropout(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Drop values with a generator of its own; torch's dropout only knows the global one."""
    if generator is None or not share:
        return x
    return x * torch.empty_like(x).bernoulli_(1 - share, generator=generator) / (1 - share)


@dataclass(frozen=True)
class Shape:
    """What an encoder looks like; the names are those of the methods' parameters."""

    arch: Arch = "hrnn"
    n_slots: int = 52
    seg_len: int = 6
    tail: Literal["pad", "drop"] = "pad"
    mask_padding: bool = True
    attn_at: Literal["none", "l1", "l2", "both"] = "both"
    attn_scope: Literal["segment", "video"] = "segment"
    attn_units: int = 256
    hidden1: int = 1024
    hidden2: int = 512
    dropout: float = 0.5
    input_dropout: float = 0.0


class Encoder(nn.Module):
    """Sequences of frames to embeddings.

    Parameters
    ----------
    inputs, outputs
        Sizes of a frame and of an embedding.
    shape
        The architecture.
    generator
        Source of the initial weights; :attr:`noise` is that of the dropout, None for none.
    """

    def __init__(self, inputs: int, outputs: int, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        self.noise: torch.Generator | None = None
        units = {level: shape.attn_units * (shape.attn_at in (level, "both")) for level in ("l1", "l2")}
        if shape.arch != "hrnn":
            units = {"l1": 0, "l2": 0}
        self.lstm1 = AttentiveLSTM(inputs, shape.hidden1, units["l1"], generator)
        if shape.arch != "single":
            self.lstm2 = AttentiveLSTM(shape.hidden1, shape.hidden2, units["l2"], generator)
        self.output = Linear(shape.hidden1 if shape.arch == "single" else shape.hidden2, outputs, generator)

    def forward(self, frames: Tensor, lengths: NDArray[Any]) -> Tensor:
        """Return (n_videos, outputs) for frames (sum of lengths, inputs)."""
        shape = self.shape
        frames, lengths = slots(frames, np.asarray(lengths, dtype=np.int64), shape)
        frames = _dropout(frames, shape.input_dropout, self._noise())
        starts = np.cumsum(lengths) - lengths
        if shape.arch == "hrnn":
            return self.output.forward(self._hierarchy(frames, starts, lengths))
        packed = pack(starts, lengths, device=frames.device)
        last, states = self.lstm1.forward(frames, packed)
        if shape.arch == "stacked":
            last = self._stack(states, packed, starts, lengths)
        else:
            last = _dropout(last, shape.dropout, self._noise())
        return self.output.forward(last)

    def _noise(self) -> torch.Generator | None:
        return self.noise if self.training else None

    def _hierarchy(self, frames: Tensor, starts: IntArray, lengths: IntArray) -> Tensor:
        """LSTM1 over every segment of every video at once, LSTM2 over each video's segments."""
        shape = self.shape
        first, count, video, per_video = segments(starts, lengths, shape.seg_len, shape.tail)
        wide = shape.attn_scope == "video" and self.lstm1.attention > 0
        whole = (starts[video], lengths[video]) if wide else None
        local, _ = self.lstm1.forward(frames, pack(first, count, whole, device=frames.device))
        local = _dropout(local, shape.dropout, self._noise())
        return self.lstm2.forward(local, pack(np.cumsum(per_video) - per_video, per_video, device=frames.device))[0]

    def _stack(self, states: list[Tensor], packed: Pack, starts: IntArray, lengths: IntArray) -> Tensor:
        """LSTM2 over the states of all steps of LSTM1."""
        rows = torch.cat([packed.steps[:n, t] for t, n in enumerate(packed.active)])
        every = torch.cat(states)
        every = torch.empty_like(every).index_copy(0, rows, every)
        return self.lstm2.forward(_dropout(every, self.shape.dropout, self._noise()), packed)[0]


def slots(frames: Tensor, lengths: IntArray, shape: Shape) -> tuple[Tensor, IntArray]:
    """Clip each video to ``n_slots`` frames; where padding is not masked, fill it up to them with zeros.

    Returns
    -------
    frames : (sum of lengths, inputs)
    lengths : (n_videos,)
    """
    position = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    keep = position < shape.n_slots
    if not keep.all():
        frames = frames[torch.from_numpy(keep).to(frames.device)]
    clipped = np.minimum(lengths, shape.n_slots)
    if shape.mask_padding:
        return frames, clipped
    total = shape.n_slots
    if shape.arch == "hrnn" and shape.tail == "pad":
        total = -(-shape.n_slots // shape.seg_len) * shape.seg_len
    video = np.repeat(np.arange(len(lengths)), clipped)
    rows = torch.from_numpy(video * total + position[keep]).to(frames.device)
    filled = frames.new_zeros(len(lengths) * total, frames.shape[1]).index_copy(0, rows, frames)
    return filled, np.full_like(lengths, total)


def segments(
    starts: IntArray, lengths: IntArray, seg_len: int, tail: str
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Cut each video into segments of at most ``seg_len`` rows.

    Parameters
    ----------
    starts, lengths
        (n_videos,) rows of each video.
    seg_len
        Rows per segment.
    tail
        ``pad`` keeps a shorter last segment; ``drop`` leaves it out, unless it is the video's only one.

    Returns
    -------
    first, count, video : (n_segments,)
        First row, number of rows and video of each segment.
    per_video : (n_videos,)
        Number of segments of each video.
    """
    per_video = -(-lengths // seg_len) if tail == "pad" else np.maximum(lengths // seg_len, 1)
    video = np.repeat(np.arange(len(lengths)), per_video)
    place = np.arange(len(video)) - np.repeat(np.cumsum(per_video) - per_video, per_video)
    count = np.minimum(seg_len, lengths[video] - place * seg_len)
    return starts[video] + place * seg_len, count, video, per_video


class DualLossNetwork(ClassNetwork):
    """An encoder with the dual loss of Action2Vec, ``L_PR + lambda L_CE``.

    Parameters
    ----------
    arch
        The architecture.
    inputs
        Size of a frame.
    vectors
        (n_classes, d) unit vectors of the training classes.
    params
        Where :class:`Shape`, :class:`~zslbench_methods._ranking.Ranking` and the schedule of lambda find their fields.
    generator
        Source of the initial weights.
    """

    def __init__(
        self, arch: Arch, inputs: int, vectors: NDArray[np.float32], params: Any, generator: torch.Generator
    ) -> None:
        super().__init__(vectors)
        given = params.model_dump()
        known = {field.name for field in fields(Shape)}
        self.encoder = Encoder(
            inputs, vectors.shape[1], Shape(arch=arch, **{k: v for k, v in given.items() if k in known}), generator
        )
        self.head = Linear(vectors.shape[1], len(vectors), generator)
        self.ranking = Ranking(mining=params.mining, **{k[3:]: v for k, v in given.items() if k.startswith("pr_")})
        self.params = params

    @property
    def noise(self) -> torch.Generator | None:
        """Generator of the dropout."""
        return self.encoder.noise

    @noise.setter
    def noise(self, generator: torch.Generator | None) -> None:
        self.encoder.noise = generator

    def embed(self, frames: Tensor, lengths: NDArray[Any]) -> Tensor:
        """Return (n_videos, d)."""
        return self.encoder.forward(frames, lengths)

    def loss(self, frames: Tensor, lengths: NDArray[Any], labels: Tensor, done: float) -> Tensor:
        """Return the dual loss; lambda changes once, after a share of the first epoch."""
        params = self.params
        embeddings = self.embed(frames, lengths)
        loss = ranking_loss(embeddings, labels, self.vectors, self.ranking)
        weight = params.lambda_ce if done >= params.lambda_start_frac else params.lambda_before
        if weight:
            loss = loss + weight * classification_loss(self.head(embeddings), labels, params.ce)
        return loss
