"""The view that MLflow's experiment page opens with: parent runs only, the best first, with the columns to compare.

MLflow stores such a view in a tag of the experiment, and the page's address names it. Without it, the page lists all
runs by time and shows no metric. Versions of MLflow that do not know the tag ignore it.
"""

from __future__ import annotations

import json

VIEW_TAG = "mlflow.sharedViewState.zslbench"
_VIEW = "workflowType=machine_learning"  # opens MLflow's pages for models; the default is those for chats
_METRICS = ("low", "high", "top1_per_class", "S", "U", "n_splits")  # MLflow sorts them by name; few fit on a screen


def shared_view(primary: str) -> str:
    """Return the view's state in the form of MLflow's page; runs are sorted by the metric ``primary``."""
    order = f"metrics.`{primary}`"
    return json.dumps(
        {
            "searchFilter": "tags.`zslbench.parent` = 'true'",
            "orderByKey": order,
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": [order, *(f"metrics.`{name}`" for name in _METRICS), "params.`semantics`"],
            "runsExpanded": {},
            "runsPinned": [],
            "runsHidden": [],
        }
    )


def experiments_address(server: str) -> str:
    """Return the address of the list of experiments on a server such as ``http://127.0.0.1:5000``."""
    return f"{server.rstrip('/')}/#/experiments?{_VIEW}"


def experiment_address(server: str, experiment_id: str) -> str:
    """Return the address of an experiment's page with our view."""
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{_VIEW}&viewStateShareKey=zslbench"
