"""The common parts of backbones that run in torch: devices, precision, and weights that are nothing but tensors.

Importing this module does not import torch, which takes seconds: ``zslbench extract --help`` reads the parameters.
"""

from __future__ import annotations

import zipfile
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from zslbench.errors import ZslbenchError, some
from zslbench.files import reading
from zslbench.video.backbone import Backbone, BackboneParams

if TYPE_CHECKING:
    import torch

State = dict[str, "torch.Tensor"]
_WRAPPERS = ("state_dict", "model_state_dict", "model")  # keys under which training scripts put the weights
_PREFIXES = ("module.", "backbone.", "model.")
_SHOWN = 4
_IN_FULL = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class TorchParams(BackboneParams):
    """Parameters of every backbone that runs in torch.

    Attributes
    ----------
    precision
        Of products and convolutions. ``tf32`` only changes results on a GPU; ``float16`` and ``bfloat16`` are torch's
        autocast. Features are always float32. ``fp32``, ``fp16`` and ``bf16`` are other names.

    Examples
    --------
    >>> TorchParams(precision="bf16").precision
    'bfloat16'
    """

    precision: Literal["float32", "tf32", "float16", "bfloat16"] = "float32"

    @field_validator("precision", mode="before")
    @classmethod
    def _in_full(cls, value: Any) -> Any:
        return _IN_FULL.get(value, value) if isinstance(value, str) else value


class StateDictParams(TorchParams):
    """Parameters of a network that is built here and takes a state dict.

    Attributes
    ----------
    random_weights
        A seed: initialise the network at random instead of loading weights, as a control or a test.
    """

    random_weights: int | None = None


class TorchBackbone(Backbone):
    """A backbone whose network is a ``torch.nn.Module``."""

    class Params(TorchParams):
        """Precision only."""

    @abstractmethod
    def load(self) -> torch.nn.Module:
        """Return the network with its weights, on the CPU."""

    @property
    def untrained(self) -> bool:
        """Whether the network is initialised at random on purpose."""
        return getattr(self.params, "random_weights", None) is not None

    @cached_property
    def network(self) -> torch.nn.Module:
        """The network in evaluation mode on its device, loaded when it is first needed."""
        return self.load().eval().to(self.resolved_device)

    @cached_property
    def resolved_device(self) -> str:
        """``cpu`` or ``cuda``.

        Raises
        ------
        ZslbenchError
            ``device`` is ``cuda`` and there is no GPU.
        """
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise ZslbenchError("there is no GPU that torch can use; leave out --device cuda.")
        return self.device if self.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"

    def run(self, compute: Callable[[Any], Any], inputs: NDArray[Any] | Mapping[str, NDArray[Any]]) -> Any:
        """Return the result of ``compute`` for one batch on the device, with tensors as float32 arrays."""
        import torch

        def moved(array: NDArray[Any]) -> torch.Tensor:
            tensor = torch.from_numpy(array)
            if self.resolved_device != "cuda":
                return tensor
            # From pinned memory the copy runs on its own, while this thread already sends the first operations.
            return tensor.pin_memory().to("cuda", non_blocking=True)

        given = {key: moved(each) for key, each in inputs.items()} if isinstance(inputs, Mapping) else moved(inputs)
        with torch.inference_mode(), precision(self.resolved_device, self.params.precision):
            return to_arrays(compute(given))

    def forward(self, batch: Sequence[Any]) -> NDArray[Any]:
        """Return (n, D) features of n clips."""
        result: NDArray[Any] = self.run(self.network, np.stack(batch))
        return result


class StateDictBackbone(TorchBackbone):
    """A network of this package: its weights are a state dict, or random.

    Attributes
    ----------
    head
        The name of the classifier's weights, its usual number of classes, and the label set that has these.
    """

    head: ClassVar[tuple[str, int, str]]

    @abstractmethod
    def build(self, n_classes: int | None) -> torch.nn.Module:
        """Return the network, with a classifier if ``n_classes`` is given. It returns features all the same."""

    def rename(self, state: State) -> State:
        """Return a state dict with the network's names."""
        return state

    def load(self) -> torch.nn.Module:
        """Return the network with the weights of the file, or random ones."""
        import torch

        if self.weights is None:
            return initialise(lambda: self.build(None), self.params.random_weights)
        state = self.rename(read_state(self.weights))
        weight, usual, label_set = self.head
        n_classes = len(state[weight]) if weight in state else None
        if n_classes not in (None, usual) and self.params.trained_on is None:
            raise ZslbenchError(
                f"{self.weights.name} classifies {n_classes} classes, not the {usual} of {label_set}: it was trained "
                f"on other data, too, which makes zero-shot results on their classes void; name its training data, as "
                f"in --set backbone.trained_on={self.info.trained_on[0]},NAME."
            )
        with torch.device("meta"):
            network = self.build(n_classes)
        return fill(network, state, self.weights.name)


def to_arrays(outputs: Any) -> Any:
    """Return torch outputs as float32 arrays; sequences become lists, mappings stay mappings."""
    if isinstance(outputs, Mapping):
        return {name: to_arrays(value) for name, value in outputs.items()}
    if isinstance(outputs, list | tuple):
        return [to_arrays(value) for value in outputs]
    return outputs.float().cpu().numpy()


@contextmanager
def precision(device: str, kind: str) -> Iterator[None]:
    """Compute with this precision, deterministically, and restore torch's global settings."""
    import torch

    # cudnn.benchmark would choose algorithms by time, so that the same video could give other bits in the next run.
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = kind == "tf32"
    cudnn.benchmark, cudnn.deterministic = False, True
    try:
        half = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(kind)
        with torch.autocast(device, dtype=half, enabled=half is not None):
            yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic, matmul.allow_tf32 = before


def read_state(path: Path) -> State:
    """Return the tensors of a ``.safetensors`` file or of a file by ``torch.save``; no other object is loaded.

    A state dict that a training script stored under ``state_dict`` is found. If all names begin with ``module.`` or
    ``backbone.``, that prefix is removed.

    Raises
    ------
    ZslbenchError
        The file is damaged, or contains other objects or no tensors.
    """
    import torch

    held: Any
    with reading(path):
        if path.suffix == ".safetensors":
            held = _read_safetensors(path)
        else:
            # weights_only: a pickle could run code. mmap works only for files since torch 1.6, which are zip archives.
            held = torch.load(path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path))
    for key in _WRAPPERS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            held = held[key]
    state = {str(n): v for n, v in held.items() if isinstance(v, torch.Tensor)} if isinstance(held, Mapping) else {}
    if not state:
        raise ZslbenchError(f"{path.name} contains no state dict; save network.state_dict() with torch.save.")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: State = load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return tensors


def fill(network: torch.nn.Module, state: State, source: str) -> torch.nn.Module:
    """Return the network with its tensors replaced by those of ``state``, as float32.

    Raises
    ------
    ZslbenchError
        Tensors are missing, unknown, or of another shape; the message names them.
    """
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    # Files from before torch 0.4.1 lack the number of batches that a batch norm saw. Nothing here reads that number.
    counters = {name for name in wanted if name.endswith("num_batches_tracked")}
    missing = [name for name in wanted if name not in state and name not in counters]
    surplus = [name for name in state if name not in wanted]
    differ = [
        f"{name} {tuple(state[name].shape)} instead of {shape}"
        for name, shape in wanted.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    faults = [("lacks", missing), ("has unknown", surplus), ("has the wrong shape of", differ)]
    if found := " and ".join(f"{what} {some(names, _SHOWN)}" for what, names in faults if names):
        raise ZslbenchError(f"{source} {found}; give a state dict of this network.")
    import torch

    zero = torch.zeros((), dtype=torch.int64)
    tensors = {name: state[name].float() if name not in counters else state.get(name, zero) for name in wanted}
    network.load_state_dict(tensors, assign=True)  # assign: the network was built on "meta" and has no memory to fill
    return network.requires_grad_(False)


def refuse_misfit(
    folder: Path, config: str, missing: Iterable[str],
    differ: Iterable[str | tuple[str, Sequence[int], Sequence[int]]], surplus: Iterable[str] = (),
) -> None:  # fmt: skip
    """Refuse weights that do not fit the configuration beside them: what the model computes would be wrong.

    Parameters
    ----------
    config
        The name of the configuration's file.
    missing
        Tensors of the model that the weights lack.
    differ
        Tensors of other shapes: name, shape in the weights, shape in the model; transformers 4 gives names alone.
    surplus
        Tensors that the model lacks.

    Raises
    ------
    ZslbenchError
        There are such tensors; the message names the first of them.
    """
    shapes = [
        f"{each} of another shape"
        if isinstance(each, str)
        else f"{each[0]} {tuple(each[1])} instead of {tuple(each[2])}"
        for each in sorted(differ, key=str)
    ]
    faults = (("lack", sorted(missing)), ("have", shapes), ("have unknown", sorted(surplus)))
    if found := " and ".join(f"{verb} {some(names, _SHOWN)}" for verb, names in faults if names):
        raise ZslbenchError(
            f"the weights in {folder} {found}: they and {config} are not of one model; copy both from the same model."
        )


def initialise(build: Callable[[], torch.nn.Module], seed: int) -> torch.nn.Module:
    """Return a network with He's initialisation (arXiv:1502.01852); it depends on the seed only."""
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(seed)  # of its own: torch's global state depends on earlier draws
    with torch.device("meta"):
        network = build()
    network = network.to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
            module.reset_parameters()
        elif isinstance(module, nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network.requires_grad_(False)
