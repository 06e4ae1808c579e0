"""The benchmark harness of zero-shot action recognition, and the names that a program or a plugin needs.

The names are looked up when they are used, so that ``import zslbench`` imports no library.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from zslbench.version import __version__ as __version__

__all__ = [
    "Budget", "Choices", "Classes", "Dataset", "Method", "MethodInfo", "MethodParams", "Range", "Report", "Results",
    "SeenVideos", "SklearnRegression", "Target", "Videos", "datasets", "get_dataset", "load", "open_features",
    "results", "run", "torch_seed",
]  # fmt: skip

if TYPE_CHECKING:
    from zslbench.api import datasets, load, results, run
    from zslbench.compute import torch_seed
    from zslbench.datasets.catalog import get_dataset
    from zslbench.datasets.dataset import Dataset
    from zslbench.features.catalog import open_features
    from zslbench.method import (
        Budget,
        Classes,
        Method,
        MethodInfo,
        MethodParams,
        Report,
        SeenVideos,
        Target,
        Videos,
    )
    from zslbench.ranges import Choices, Range
    from zslbench.regression import SklearnRegression
    from zslbench.stored import Results
else:
    _HOMES = {
        "Choices": "zslbench.ranges",
        "Range": "zslbench.ranges",
        "Dataset": "zslbench.datasets.dataset",
        "Results": "zslbench.stored",
        "SklearnRegression": "zslbench.regression",
        "get_dataset": "zslbench.datasets.catalog",
        "load": "zslbench.api",
        "open_features": "zslbench.features.catalog",
        "results": "zslbench.api",
        "torch_seed": "zslbench.compute",
    }  # of the names that are not in zslbench.method

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOMES.get(name, "zslbench.method")), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    class _Room(ModuleType):
        """A room that is also the function of its name: ``zslbench.run(...)`` beside ``zslbench.run.engine``.

        Python puts a room in the place of a function of the same name as soon as a module of it is imported.
        """

        @property
        def __wrapped__(self) -> Any:  # what help() and inspect.signature() show
            return getattr(import_module("zslbench.api"), self.__name__.rpartition(".")[2])

        def __call__(self, *args: Any, **options: Any) -> Any:
            return self.__wrapped__(*args, **options)

        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return import_module, (self.__name__,)

    for _name in ("datasets", "run"):
        import_module(f"zslbench.{_name}").__class__ = _Room
