"""The code that MLflow runs to load or serve a logged model ("models from code"); it opens the saved model beside it.

MLflow copies this file into each model. Nothing else imports it. zslbench must be installed where the model is served.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel
from numpy.typing import NDArray

from zslbench.errors import ZslbenchError
from zslbench.features.transforms import project
from zslbench.run.models import load_model
from zslbench.videos import Videos


class ZeroShotModel(PythonModel):
    """Score videos for any classes."""

    # MLflow checks inputs by the signature. It understands only type hints that are lists, and warns about others.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Load the saved model."""
        self._model = load_model(Path(context.artifacts["model"]))

    def predict(self, context, model_input, params=None) -> pd.DataFrame:  # type: ignore[no-untyped-def]
        """Return scores, one row per video and one column per class.

        Parameters
        ----------
        model_input
            (n, D) mean-pooled features, or (n, T, D) sequences. Frames that contain only NaN are left out, so shorter
            videos can be padded with them.
        params
            ``classes``: any names; by default the classes of the split that the model was trained on.
        """
        classes = self._model.classes_of((params or {}).get("classes") or self._model.classes.names)
        videos = project(_videos(np.asarray(model_input, dtype=np.float32)), self._model.projection)
        scores = self._model.method.score(videos, classes)
        return pd.DataFrame(scores, columns=list(classes.names))


def _videos(features: NDArray[np.float32]) -> Videos:
    if features.ndim == 2:
        return Videos.from_arrays(features)
    videos = [frames[~np.isnan(frames).all(axis=1)] for frames in features]
    if not all(map(len, videos)):
        raise ZslbenchError("all frames of a video are NaN; leave this video out.")
    return Videos.from_arrays(videos)


mlflow.models.set_model(ZeroShotModel())
