"""The benchmark harness of zero-shot action recognition, and the names that a plugin needs.

The names are looked up when they are used, so that ``import zslbench`` imports no library.
"""

from typing import TYPE_CHECKING

__version__ = "0.2.0"

__all__ = [
    "Budget", "Choices", "Classes", "Dataset", "Method", "MethodInfo", "MethodParams", "Range", "Report", "SeenVideos",
    "SklearnRegression", "Target", "Videos", "get_dataset", "open_features", "torch_seed",
]  # fmt: skip

if TYPE_CHECKING:
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
else:
    _HOMES = {
        "Choices": "zslbench.ranges",
        "Range": "zslbench.ranges",
        "Dataset": "zslbench.datasets.dataset",
        "SklearnRegression": "zslbench.regression",
        "get_dataset": "zslbench.datasets.catalog",
        "open_features": "zslbench.features.catalog",
        "torch_seed": "zslbench.compute",
    }  # of the names that are not in zslbench.method

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES.get(name, "zslbench.method")), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
