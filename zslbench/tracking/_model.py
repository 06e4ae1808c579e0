"""Log a saved model to MLflow, in the form for ``mlflow.pyfunc.load_model`` and ``mlflow models serve``."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

from zslbench.errors import ZslbenchError
from zslbench.run.models import SavedModel, load_model
from zslbench.version import __version__

_CODE = Path(__file__).with_name("_pyfunc.py")


def log_model(client: Any, folder: Path, experiment: str, run_id: str) -> None:
    """Log the model in ``folder`` as an output of a run; if it cannot be loaded, write a warning to the log.

    Parameters
    ----------
    client
        A :class:`mlflow.tracking.MlflowClient`.
    experiment, run_id
        Ids of MLflow.
    """
    try:
        model = load_model(folder)
    except ZslbenchError as error:
        logging.getLogger("zslbench").warning("not logged to MLflow: %s", error)
        return
    from mlflow import pyfunc
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus
    from mlflow.models import Model

    logged = client.create_logged_model(
        experiment, model.card.cell.label, run_id, tags={"zslbench.model_id": model.card.id}, model_type="zslbench"
    )
    record = Model(
        artifact_path=logged.artifact_location, model_uuid=logged.model_id, run_id=run_id, model_id=logged.model_id
    )
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "model"
        with warnings.catch_warnings():
            # MLflow warns about a missing input example, which would be thousands of values.
            warnings.simplefilter("ignore")
            pyfunc.save_model(
                path,
                mlflow_model=record,
                python_model=str(_CODE),
                artifacts={"model": str(folder.absolute())},
                signature=_signature(model),
                pip_requirements=[f"zslbench=={__version__}"],
                metadata={"title": model.card.title, "simulated": model.card.cell.simulated},
            )
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])


def _signature(model: SavedModel) -> Any:
    """Return the inputs: sequences (n, T, D) if the order of frames counts, or else (n, D), and names of classes."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    features = model.card.features
    ordered = model.method.info.wants == "sequences" and features.kind == "sequences"
    shape = (-1, -1, features.dim) if ordered else (-1, features.dim)
    names = ParamSpec("classes", DataType.string, default=list(model.classes.names), shape=(-1,))
    return ModelSignature(Schema([TensorSpec(np.dtype("float32"), shape)]), params=ParamSchema([names]))
