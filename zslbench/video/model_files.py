"""The files of a model of transformers or open_clip: a local folder, or a repository of a hub.

A repository is fetched into the user's own cache by huggingface_hub: a pinned revision, and only configurations,
tokenizers and safetensors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zslbench.digests import digest, file_sha256
from zslbench.errors import ZslbenchError
from zslbench.files import read_json
from zslbench.video.backbone import require
from zslbench.video.layouts import OPEN_CLIP, TRANSFORMERS, Layout, choose_layout, layout_of

CONFIG, WEIGHTS, MODULES = TRANSFORMERS.config, TRANSFORMERS.weights, "modules.json"
_INDEX = f"{WEIGHTS}.index.json"  # of weights in several files
EXTRA = "clip"
_COPY = f"copy {CONFIG}, {WEIGHTS} and the files of its processor and tokenizer into a folder and give that."
_REMEDY = {
    TRANSFORMERS: "save the model again with model.save_pretrained(FOLDER), which writes safetensors",
    OPEN_CLIP: "convert them by torch.load and safetensors.torch.save_file (docs/backbones.md)",
}
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?")
_PROCESSORS = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
_TEXT = (".json", ".txt", ".model")  # configurations, vocabularies, SentencePiece
_CODE = ".py"
_OTHER_FORMATS = ("onnx/", "openvino/", "coreml/", "rust/")  # folders with the same model again
_ReadConfig = Callable[[], Mapping[str, Any]]  # the values of CONFIG


@dataclass(frozen=True)
class ModelFiles:
    """Where a model's files are.

    Attributes
    ----------
    folder
        The local folder, or the snapshot in the cache of huggingface_hub.
    name
        The name on the hub; ``None`` for a local folder.
    revision
        The commit on the hub; ``None`` for a local folder.

    Examples
    --------
    >>> ModelFiles(Path("models/clip")).title
    'models/clip'
    >>> ModelFiles(Path("cache"), "openai/clip-vit-base-patch16", "57c216476eefef5ab752ec549e440a49ae4ae5f3").title
    'openai/clip-vit-base-patch16@57c216476eef'
    """

    folder: Path
    name: str | None = None
    revision: str | None = None

    @property
    def title(self) -> str:
        """The name and the first digits of the revision, or the folder."""
        return f"{self.name}@{(self.revision or '')[:12]}" if self.name else str(self.folder)

    @property
    def layout(self) -> Layout:
        """Whose model it is: that of transformers or of open_clip."""
        return layout_of(self.folder)


def fetch_model(model: str, revision: str | None = None, *, trust_remote_code: bool = False) -> ModelFiles:
    """Return the files of a local folder, or of a repository of the hub, which is fetched if it is not in the cache.

    ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` mean what they mean for huggingface_hub.

    Parameters
    ----------
    model
        A folder, or a name such as ``openai/clip-vit-base-patch16``.
    revision
        Branch, tag or commit of the repository. By default its main branch, whose commit is then recorded.
    trust_remote_code
        Whether to fetch the repository's Python files too.

    Raises
    ------
    ZslbenchError
        There is no such folder or repository, it is gated, it has no safetensors, or the hub cannot be reached.
    """
    if (folder := Path(model).expanduser()).is_dir():
        if revision:
            raise ZslbenchError(f"{model} is a local folder, which has no revisions; leave out --revision.")
        files = ModelFiles(folder.absolute())
    else:
        wanted = partial(_wanted, model, trust_remote_code=trust_remote_code)
        folder = _fetch(model, revision, (CONFIG, OPEN_CLIP.config), wanted)
        files = ModelFiles(folder, model, folder.name)
    check_model_files(folder)
    if trust_remote_code and files.layout is OPEN_CLIP:
        raise ZslbenchError(f"{model} is a model of open_clip, which needs no code; leave out --trust-remote-code.")
    return files


def fetch_encoder(model: str, revision: str | None = None) -> ModelFiles:
    """Return the files of a model of sentence-transformers, as :func:`fetch_model` does; no code is fetched.

    Raises
    ------
    ZslbenchError
        There is no such folder or repository, it is gated, it has no safetensors, or the hub cannot be reached.
    """
    if (folder := Path(model).expanduser()).exists():
        if revision:
            raise ZslbenchError(f"{model} is a local folder, which has no revisions; leave out --revision.")
        return ModelFiles(folder.absolute())
    folder = _fetch(model, revision, (MODULES,), partial(_wanted_with_modules, model))
    return ModelFiles(folder, model, folder.name)


def _fetch(
    model: str, revision: str | None, marks: Sequence[str], wanted: Callable[[list[str], _ReadConfig], list[str]]
) -> Path:
    """Return the snapshot of a repository.

    It has one of the files ``marks``. ``wanted`` chooses the files to fetch by all names, and may read CONFIG.
    """
    if not _REPOSITORY.fullmatch(model) or model.startswith("."):
        raise ZslbenchError(
            f"there is no folder {model}; give a folder that exists, or the name of a model on the hub such as "
            f"openai/clip-vit-base-patch16."
        )
    hub = require("huggingface_hub", EXTRA)
    # By name: they are no attributes of the package before something has imported them.
    errors, constants = (require(f"huggingface_hub.{part}", EXTRA) for part in ("errors", "constants"))
    try:
        if constants.HF_HUB_OFFLINE:
            return _cached(hub, constants.HF_HUB_CACHE, model, revision, marks)
        endpoint = os.environ.get("HF_ENDPOINT") or None
        found = hub.HfApi(endpoint=endpoint).model_info(model, revision=revision)
        names = [each.rfilename for each in found.siblings]

        def read_config() -> Mapping[str, Any]:
            held = hub.hf_hub_download(model, CONFIG, revision=found.sha, endpoint=endpoint)
            values: Mapping[str, Any] = read_json(Path(held), "choose another revision")
            return values

        chosen = wanted(names, read_config)
        # By the name of the revision: the cache then knows its commit, also offline.
        return Path(hub.snapshot_download(model, revision=revision, allow_patterns=chosen, endpoint=endpoint))
    except errors.GatedRepoError as error:
        raise ZslbenchError(
            f"{model} is gated: accept its terms on its page of the hub, then run 'hf auth login' or set HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ZslbenchError(f"{model} has no revision {revision}; see its page of the hub.") from error
    except errors.RepositoryNotFoundError as error:
        raise ZslbenchError(
            f"there is no folder {model}, and the hub has no such model, or it is private; check the spelling, or set "
            f"HF_TOKEN."
        ) from error
    except errors.HFValidationError as error:
        raise ZslbenchError(
            f"{model} is not a name of the hub; names look like openai/clip-vit-base-patch16."
        ) from error
    except Exception as error:  # its HTTP library, which changed between versions, raises its own classes
        if isinstance(error, ZslbenchError):
            raise
        raise ZslbenchError(
            f"there is no folder {model}, and it could not be fetched from the hub ({_reason(error)}); try again, or "
            f"{_COPY}"
        ) from error


def _cached(hub: Any, cache: str, model: str, revision: str | None, marks: Sequence[str]) -> Path:
    tried = (hub.try_to_load_from_cache(model, mark, revision=revision) for mark in marks)
    held = next((path for path in tried if isinstance(path, str)), None)
    if held is None:
        raise ZslbenchError(
            f"there is no folder {model}, it is not in the cache ({cache}), and HF_HUB_OFFLINE is "
            f"set; run the command once online, or {_COPY}"
        )
    return Path(held).parent


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _wanted(model: str, names: list[str], read_config: _ReadConfig, *, trust_remote_code: bool) -> list[str]:
    """Return the files of a repository to fetch: those at its top that are no weights but safetensors."""
    top = [name for name in names if "/" not in name]
    layout = choose_layout(top, read_config)
    weights = layout.weights_in(top)
    if not weights:
        raise _no_safetensors(model, top, layout)
    text = [name for name in top if name.endswith(_TEXT)]
    code = [name for name in top if name.endswith(_CODE)] if trust_remote_code and layout is TRANSFORMERS else []
    return [*text, *code, *weights]


def _wanted_with_modules(model: str, names: list[str], _: _ReadConfig) -> list[str]:
    """Return the files of a repository of sentence-transformers to fetch: its modules lie in folders."""
    own = [name for name in names if not name.startswith(_OTHER_FORMATS)]
    if MODULES not in own:
        raise ZslbenchError(
            f"{model} has no {MODULES}, so it is no model of sentence-transformers; try --model {model}."
        )
    if not any(name.endswith(".safetensors") for name in own):
        raise _no_safetensors(model, own)
    return [name for name in own if name.endswith((*_TEXT, ".safetensors"))]


def _no_safetensors(model: str, names: Iterable[str], layout: Layout = TRANSFORMERS) -> ZslbenchError:
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".h5", ".msgpack"))]
    has = f"has only {', '.join(pickled)}" if pickled else "has no weights"
    return ZslbenchError(
        f"{model} {has}; zslbench reads safetensors only: choose a revision that has {layout.weights} (--revision, "
        f"often refs/pr/N), or {_REMEDY[layout]}."
    )


def check_model_files(folder: Path, layout: Layout | None = None) -> None:
    """Refuse a folder without a configuration or without safetensors.

    Parameters
    ----------
    layout
        Whose model it must be; by default of any library that is known.

    Raises
    ------
    ZslbenchError
        Files are missing; the message names them.
    """
    layout = layout or layout_of(folder)
    if not (folder / layout.config).is_file():
        raise ZslbenchError(
            f"{folder} has no {layout.config}; give a folder that save_pretrained of transformers wrote, or one of "
            f"open_clip, with {OPEN_CLIP.config}."
        )
    if not weight_files(folder, layout):
        raise ZslbenchError(f"{folder} has no {layout.weights}; pickled weights are not read: {_REMEDY[layout]}.")


def weight_files(folder: Path, layout: Layout | None = None) -> list[Path]:
    """Return the files of the weights, in order; none if one is missing."""
    layout = layout or layout_of(folder)
    if (folder / layout.weights).is_file():
        return [folder / layout.weights]
    if layout is OPEN_CLIP or not (folder / _INDEX).is_file():
        return []
    values: dict[str, Any] = read_json(folder / _INDEX, "copy it from the model again")
    files = [folder / Path(name).name for name in sorted(set(values.get("weight_map", {}).values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise ZslbenchError(f"{folder} lacks {', '.join(missing)}; copy it from the model again.")
    return files


def weights_digest(folder: Path, layout: Layout | None = None) -> str:
    """Return the SHA-256 of the weights; of several files, the digest of their names and SHA-256."""
    files = weight_files(folder, layout)
    if len(files) == 1:
        return file_sha256(files[0])
    return digest([(file.name, file_sha256(file)) for file in files])


def load_processor(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Return the image or video processor of a model in a folder, by Pillow where it can.

    Raises
    ------
    ZslbenchError
        The folder has none, or it needs torchvision, which is not installed.
    """
    transformers = require("transformers", EXTRA)
    quiet(transformers)
    # By Pillow: its results do not depend on whether torchvision is installed.
    by_pillow = {"backend": "pil"} if major_version(transformers) >= 5 else {"use_fast": False}
    more = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    reasons: list[str] = []
    if not any((folder / name).is_file() for name in _PROCESSORS):
        raise _no_processor(folder, "no such file")
    for auto, options in ((transformers.AutoImageProcessor, by_pillow), (transformers.AutoVideoProcessor, {})):
        try:
            return auto.from_pretrained(folder, **options, **more)
        except Exception as error:  # whatever the class of the processor raises
            reasons.append(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
    if any("torchvision" in reason.lower() for reason in reasons):
        raise ZslbenchError(f"the processor in {folder} needs torchvision; run: pip install torchvision.")
    raise _no_processor(folder, reasons[0])


def _no_processor(folder: Path, reason: str) -> ZslbenchError:
    return ZslbenchError(
        f"{folder} has no processor of images or videos that transformers can read ({reason}); copy "
        f"preprocessor_config.json or video_preprocessor_config.json from the model."
    )


def major_version(transformers: Any) -> int:
    """Return 5 for transformers 5.24."""
    return int(transformers.__version__.split(".")[0])


def quiet(transformers: Any) -> None:
    """Keep transformers from printing notes and bars of its own; what matters is raised."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
