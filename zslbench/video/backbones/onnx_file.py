"""Any ONNX model in onnxruntime, with a TOML preprocessing block."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zslbench.digests import digest, file_sha256
from zslbench.errors import ZslbenchError, suggest
from zslbench.files import reading
from zslbench.video.backbone import BackboneInfo, BackboneParams, require
from zslbench.video.backbones._preprocessing import pick_output
from zslbench.video.backbones.torch_file import FileBackbone

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxParams(BackboneParams):
    """Parameters of an ONNX model.

    Attributes
    ----------
    preprocessing
        The TOML file; by default the one beside the weights, ``x3d.toml`` for ``x3d.onnx``.
    threads
        Number of onnxruntime's threads; 0 lets onnxruntime choose.

    Examples
    --------
    >>> OnnxParams(preprocessing="x3d.toml", threads=2).preprocessing.name
    'x3d.toml'
    """

    preprocessing: Path | None = None
    threads: int = Field(0, ge=0)


class OnnxFile(FileBackbone):
    """An ONNX model with one input; ``output`` may name a tensor inside its graph.

    Examples
    --------
    >>> _ = Path("x3d.toml").write_text('trained_on = ["kinetics400"]')
    >>> _ = Path("x3d.onnx").write_bytes(b"in place of an exported network")
    >>> OnnxFile(weights=Path("x3d.onnx")).trained_on
    ('kinetics400',)
    """

    info = BackboneInfo(
        name="onnx",
        summary="Any ONNX model, preprocessed as a TOML file says.",
        weights="an .onnx file, with its preprocessing in a .toml beside it.",
    )

    class Params(OnnxParams):
        """See :class:`OnnxParams`."""

    def _digest(self, weights: Path) -> str:
        """Return the SHA-256 of the file; if its weights are in files beside it, a digest of all of them."""
        # ONNX files above 2 GB must store their tensors outside; these are the names that exporters use.
        found = super()._digest(weights)
        patterns = (f"{weights.name}{suffix}" for suffix in (".data", "_data", "_data_*"))
        beside = sorted(path for pattern in patterns for path in weights.parent.glob(pattern))
        return digest([found, *((p.name, file_sha256(p)) for p in beside)]) if beside else found

    @cached_property
    def session(self) -> Any:
        """The model in onnxruntime.

        Raises
        ------
        ZslbenchError
            onnxruntime is missing or cannot load the file, or ``device`` is ``cuda`` and there is no GPU.
        """
        runtime = require("onnxruntime", "onnx")
        has_gpu = _CUDA in runtime.get_available_providers()
        if self.device == "cuda" and not has_gpu:
            raise ZslbenchError("onnxruntime has no CUDA here; install onnxruntime-gpu or leave out --device cuda.")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.params.threads
        options.log_severity_level = 3  # errors only
        providers = [_CUDA, _CPU] if has_gpu and self.device != "cpu" else [_CPU]

        def load(model: str | bytes) -> Any:
            try:
                return runtime.InferenceSession(model, options, providers=providers)
            except Exception as error:  # onnxruntime's own exceptions share no other base
                reason = str(error).splitlines()[0][:120]
                raise ZslbenchError(
                    f"{self.weights} cannot be loaded by onnxruntime ({reason}); export it again."
                ) from error

        session = load(str(self.weights))
        if isinstance(self.block.output, str) and self.block.output not in _names(session.get_outputs()):
            session = load(cut(self.weights_file, self.block.output))
        if len(session.get_inputs()) != 1:
            names = ", ".join(_names(session.get_inputs()))
            raise ZslbenchError(f"{self.weights} takes {names}; export a network with one input, the clip.")
        return session

    @property
    def fixed_batch(self) -> int | None:
        """The number of inputs that the model was exported for, if it is fixed."""
        count = self.session.get_inputs()[0].shape[0]
        return count if isinstance(count, int) else super().fixed_batch

    def compute(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return the (n, D) output of the model.

        Raises
        ------
        ZslbenchError
            The model takes other shapes or types, or has no such output.
        """
        source = self.weights_file.name
        wanted = self.session.get_inputs()[0]
        if wanted.type not in ("tensor(float)", "tensor(float16)"):
            raise ZslbenchError(
                f"{source} takes {wanted.type}, not floating-point frames; export it with a float input."
            )
        fits = len(wanted.shape) == inputs.ndim and all(
            not isinstance(w, int) or w == have for w, have in zip(wanted.shape, inputs.shape, strict=True)
        )
        if not fits:
            raise ZslbenchError(
                f"{source} takes {wanted.name} of shape {wanted.shape}, but its preprocessing file gives "
                f"{inputs.shape} ({self.block.layout}); change layout, clip_len or crop there."
            )
        kind = np.float16 if wanted.type == "tensor(float16)" else np.float32
        outputs = self.session.run(None, {wanted.name: inputs.astype(kind)})
        return pick_output(outputs, self.block, _names(self.session.get_outputs()), source)


def _names(values: Iterable[Any]) -> list[str]:
    return [each.name for each in values]


def cut(path: Path, tensor: str) -> bytes:
    """Return an ONNX model that ends at one of its tensors, such as the tokens before the head of a network.

    Parameters
    ----------
    path
        The ``.onnx`` file.
    tensor
        Name of the tensor: an output of one of the graph's nodes.

    Raises
    ------
    ZslbenchError
        The graph has no such tensor, or the package ``onnx`` is missing.
    """
    onnx = require("onnx", "onnx")
    with reading(path, "export it again"):
        model = onnx.load(path)  # with the tensors that lie outside: bytes have no folder
    made = [name for node in model.graph.node for name in node.output if name]
    if tensor not in made:
        ends = ", ".join(_names(model.graph.output))
        raise ZslbenchError(
            f"{path.name} has neither an output ({ends}) nor a tensor called {tensor!r}; change output in its "
            f"preprocessing file.{suggest(tensor, made)}"
        )
    del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    return bytes(model.SerializeToString())
