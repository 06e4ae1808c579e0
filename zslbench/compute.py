"""Where methods compute with torch: the device of the run, random numbers from a seed, and half precision.

Importing this module imports no torch, which takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

RunDevice = Literal["auto", "cpu", "cuda", "mps"]

# Of x86's flags and Arm's features.
_BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}
_FLOAT16 = {"avx512_fp16", "amx_fp16", "asimdhp"}
_CPUINFO = Path("/proc/cpuinfo")


@dataclass
class Offer:
    """The device that methods are offered, and whether one has asked for it.

    Examples
    --------
    >>> with computing_on("cpu") as offer:
    ...     offer.device, offer.asked, computing_device(), offer.asked
    ('cpu', False, 'cpu', True)
    """

    wanted: RunDevice = "auto"
    asked: bool = False

    @property
    def device(self) -> str:
        """``cpu``, ``cuda`` or ``mps``; ``auto`` takes CUDA if there is a GPU."""
        if self.wanted != "auto":
            return self.wanted
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def name(self) -> str:
        """The device that a result records: the GPU's name, ``mps``, or ``cpu``, also if no method has asked."""
        if not self.asked or self.device != "cuda":
            return self.device if self.asked else "cpu"
        import torch

        return torch.cuda.get_device_name()

    @property
    def missing(self) -> str:
        """A sentence with the remedy if the wanted device is not there; empty if it is."""
        if self.wanted in ("auto", "cpu"):
            return ""
        import torch

        there = torch.cuda.is_available() if self.wanted == "cuda" else torch.backends.mps.is_available()
        what = "CUDA GPU" if self.wanted == "cuda" else "Apple GPU"
        return "" if there else f"torch finds no {what} here; leave out --device {self.wanted}, or use --device cpu."


_offer = Offer()


@contextmanager
def computing_on(device: RunDevice) -> Iterator[Offer]:
    """Offer methods this device within a block; they read it as :attr:`zslbench.method.Method.device`."""
    global _offer  # a process runs one cell at a time; a method's own threads must see it, too
    before, _offer = _offer, Offer(device)
    try:
        yield _offer
    finally:
        _offer = before


def current_offer() -> Offer:
    """Return the innermost offer."""
    return _offer


def computing_device() -> str:
    """Return ``cpu``, ``cuda`` or ``mps``, and remember that somebody asked."""
    _offer.asked = True
    return _offer.device


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global random numbers within a block, and put them back after it.

    Inside, ``nn.Linear``, dropout and all else that draws from the global generators depend on the seed alone. The
    generators of the processor and of all CUDA devices are put back.

    Examples
    --------
    >>> import torch
    >>> def weight():
    ...     with torch_seed(3):
    ...         return torch.nn.Linear(1, 1).weight.item()
    >>> before = torch.get_rng_state()
    >>> weight() == weight(), bool((torch.get_rng_state() == before).all())
    (True, True)
    """
    import torch

    gpus = range(torch.cuda.device_count()) if _offer.device == "cuda" else ()  # asking CUDA would start it
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(seed)
        yield


def native_bfloat16(device: str) -> bool:
    """Return whether a device is known to compute in bfloat16 itself; others imitate it, slower than float32.

    Of processors, Linux's flags are read; elsewhere none is known to.
    """
    if device == "cuda":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device != "cpu" or not _BFLOAT16.isdisjoint(_flags(_CPUINFO))


def native_float16(device: str) -> bool:
    """Return whether a device is known to compute in float16 itself; see :func:`native_bfloat16`."""
    return device != "cpu" or not _FLOAT16.isdisjoint(_flags(_CPUINFO))


@cache
def _flags(cpuinfo: Path) -> frozenset[str]:
    try:
        lines = [line.lower().partition(":") for line in cpuinfo.read_text().splitlines()]
    except OSError:
        return frozenset()
    told = [words for name, _, words in lines if name.strip() in ("flags", "features")]  # one line per core
    return frozenset(" ".join(told).split())
