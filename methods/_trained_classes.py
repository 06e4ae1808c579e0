"""Names of the classes that a method was trained on, and where they stand in its arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.method import Classes


class TrainedClasses:
    """The names of the classes whose videos were trained on, in the order of a method's arrays.

    Parameters
    ----------
    names
        Class names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._place = {name: i for i, name in enumerate(self.names)}

    @classmethod
    def of(cls, classes: Classes, labels: NDArray[np.int64]) -> tuple[TrainedClasses, NDArray[np.int64]]:
        """Return the classes that have videos, and the (n_videos,) index of each video's class among them."""
        present, place = np.unique(labels, return_inverse=True)
        return cls([classes.names[i] for i in present]), place.astype(np.int64)

    @classmethod
    def restored(cls, array: NDArray[Any]) -> TrainedClasses:
        """Return what :meth:`array` was made from."""
        return cls(json.loads(array.tobytes()))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def array(self) -> NDArray[np.uint8]:
        """The names as the UTF-8 bytes of their JSON, for a saved model."""
        return np.frombuffer(json.dumps(self.names).encode(), dtype=np.uint8)

    def places(self, classes: Classes) -> NDArray[np.int64]:
        """Return where each of some classes stands, (n_classes,); -1 for one that was not trained on."""
        return np.array([self._place.get(name, -1) for name in classes.names], dtype=np.int64)

    def columns(self, classes: Classes, method: str) -> NDArray[np.int64]:
        """Return where each of some classes stands, (n_classes,).

        Raises
        ------
        ZslbenchError
            One was not trained on.
        """
        places = self.places(classes)
        if (places < 0).any():
            raise ZslbenchError(
                f"{method} has no training video of {classes.names[int(np.argmin(places))]!r}, and scores only classes "
                f"that it was trained on; use --protocol few-shot or supervised."
            )
        return places
