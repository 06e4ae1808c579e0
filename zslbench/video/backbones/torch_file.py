"""Any network as a program: TorchScript (``.pt``) or an ExportedProgram (``.pt2``), with a TOML preprocessing block."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from zslbench.digests import canonical_json
from zslbench.errors import ZslbenchError
from zslbench.files import reading
from zslbench.video.backbone import Backbone, BackboneInfo, Frames
from zslbench.video.backbones._preprocessing import Preprocessing, pick_output, read_preprocessing
from zslbench.video.backbones._torch import TorchBackbone, TorchParams
from zslbench.videos import FloatArray

if TYPE_CHECKING:
    import torch


class FileBackbone(Backbone):
    """Base class of networks that come as a program with a preprocessing block beside it.

    Examples
    --------
    >>> class MeanColour(FileBackbone):
    ...     Params = TorchFileParams
    ...     info = BackboneInfo(name="mean-colour", summary="The mean colour of a clip.")
    ...     def compute(self, inputs): return inputs.mean(axis=(2, 3, 4))
    >>> _ = Path("mean.toml").write_text("clip_len = 2"); _ = Path("mean.net").write_bytes(b"a network")
    >>> MeanColour(weights=Path("mean.net")).extract([np.zeros((2, 8, 8, 3), dtype=np.uint8)]).shape
    (1, 3)
    """

    not_identity = Backbone.not_identity | {"preprocessing", "threads"}

    @cached_property
    def block(self) -> Preprocessing:
        """How frames are preprocessed: read from ``preprocessing``, or from the .toml file beside the weights."""
        return read_preprocessing(self.params.preprocessing or self.weights_file.with_suffix(".toml"))

    @property
    def clip_len(self) -> int:
        """Frames per clip."""
        return self.block.clip_len

    @property
    def usual_trained_on(self) -> tuple[str, ...]:
        """What the preprocessing block says; the network's file does not contain it."""
        return self.block.trained_on

    @cached_property
    def dim(self) -> int:
        """Values per feature, found by computing one black clip."""
        black = np.zeros((self.clip_len, 224, 224, 3), dtype=np.uint8)
        return int(self.forward([self.preprocess(black)]).shape[1])

    def describe(self) -> str:
        """Return name, version, parameters and the content of the preprocessing block, not its path."""
        block = self.block.model_dump(mode="json", exclude={"batch_size", "trained_on"})
        return f"{super().describe()} {canonical_json(block)}"

    def preprocess(self, clip: Frames) -> FloatArray:
        """Return the network's input as described by the preprocessing block."""
        return self.block.apply(clip)

    def forward(self, batch: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return (n, D) features of n clips: of a network that reads single frames, the mean over a clip's frames."""
        inputs = np.concatenate(batch) if self.block.by_frame else np.stack(batch)
        size = self.fixed_batch or len(inputs)
        rows = np.concatenate([self._padded(inputs[i : i + size], size) for i in range(0, len(inputs), size)])
        return rows.reshape(len(batch), -1, rows.shape[1]).mean(axis=1) if self.block.by_frame else rows

    @property
    def fixed_batch(self) -> int | None:
        """The only batch size that the network takes; ``None`` if it takes any."""
        return self.block.batch_size

    def _padded(self, inputs: NDArray[Any], size: int) -> NDArray[Any]:
        """Compute a batch of exactly ``size`` inputs; the last one is repeated, and its copies are dropped."""
        filled = np.concatenate([inputs, np.repeat(inputs[-1:], size - len(inputs), axis=0)])
        return self.compute(filled)[: len(inputs)]

    def compute(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return the (n, D) output of the network."""
        raise NotImplementedError


class TorchFileParams(TorchParams):
    """Parameters of a network in a file.

    Attributes
    ----------
    preprocessing
        The TOML file; by default the one beside the weights, ``i3d.toml`` for ``i3d.pt``.

    Examples
    --------
    >>> TorchFileParams(preprocessing="i3d.toml", precision="bfloat16").batch_size
    8
    """

    preprocessing: Path | None = None


class TorchFile(FileBackbone, TorchBackbone):
    """TorchScript or an ExportedProgram: I3D and its relatives, and any other network that torch can save.

    Examples
    --------
    >>> _ = Path("i3d.toml").write_text("clip_len = 32")
    >>> _ = Path("i3d.pt").write_bytes(b"in place of a traced network")
    >>> TorchFile(weights=Path("i3d.pt")).clip_len
    32
    """

    info = BackboneInfo(
        name="torch",
        summary="Any network as TorchScript (.pt) or ExportedProgram (.pt2), preprocessed as a TOML file says.",
        weights="a TorchScript (.pt) or ExportedProgram (.pt2) file, with its preprocessing in a .toml beside it.",
    )

    class Params(TorchFileParams):
        """See :class:`TorchFileParams`."""

    @cached_property
    def network(self) -> Callable[..., Any]:  # type: ignore[override]  # an exported program has no eval() to call
        """The program, on its device."""
        import torch

        if self.weights_file.suffix == ".pt2":
            program = read_exported(self.weights_file)
            if self.resolved_device != "cpu":
                from torch.export.passes import move_to_device_pass

                program = move_to_device_pass(program, self.resolved_device)
            network: Callable[..., Any] = program.module()
            return network
        return self.load().eval().to(torch.device(self.resolved_device))

    def load(self) -> torch.nn.Module:
        """Return the TorchScript program."""
        import warnings

        import torch

        try:
            with warnings.catch_warnings():  # torch warns that TorchScript is deprecated, which a reader cannot change
                warnings.simplefilter("ignore")
                program: torch.nn.Module = torch.jit.load(str(self.weights), map_location="cpu")  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError, OSError) as error:
            raise ZslbenchError(
                f"{self.weights_file.name} is no TorchScript file ({str(error).splitlines()[0][:90]}); save the "
                f"network with torch.jit.trace(network, clip).save(FILE.pt) or torch.export.save(program, FILE.pt2)."
            ) from error
        return program

    def compute(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return the (n, D) output of the program.

        Raises
        ------
        ZslbenchError
            The program does not take inputs of this shape, or has no such output.
        """
        import torch

        name = self.weights_file.name
        try:
            outputs = self.run(self.network, inputs)
        except (RuntimeError, AssertionError, torch.jit.Error) as error:  # an ExportedProgram asserts its shapes
            reason = (str(error).strip().splitlines() or ["no reason given"])[-1][:160]
            raise ZslbenchError(
                f"{name} failed on an input of shape {inputs.shape} ({self.block.layout}): {reason}; check layout, "
                f"clip_len, crop and batch_size in its preprocessing file."
            ) from error
        return pick_output(outputs, self.block, [], name)


def read_exported(path: Path) -> Any:
    """Return the ExportedProgram of a ``.pt2`` file, without unpickling anything but tensors.

    Raises
    ------
    ZslbenchError
        The file is damaged, or contains pickled objects or compiled code.
    """
    import torch

    with reading(path):
        with zipfile.ZipFile(path) as archive:
            if problem := _unsafe(archive):
                raise ZslbenchError(
                    f"{path.name} contains {problem}, which could run code; export the plain network with "
                    f"torch.export.save."
                )
        # torch.load then refuses everything but tensors, also where torch.export would fall back to unpickling.
        with mock.patch.dict(os.environ, {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}):
            return torch.export.load(path)


def _unsafe(archive: zipfile.ZipFile) -> str | None:
    """Return what an archive contains in addition to a graph and tensors; ``None`` for nothing."""
    for name in archive.namelist():
        if "/data/aotinductor/" in name:
            return "compiled code"
        if name.endswith(("_weights_config.json", "_constants_config.json")):
            entries = json.loads(archive.read(name))["config"].values()
            tensors = (entry["path_name"].startswith(("weight_", "tensor_")) for entry in entries)
            if not all(tensors) or any(entry.get("use_pickle") for entry in entries):
                return "pickled Python objects"
    return None
