"""The view that MLflow's experiment page opens with: parent runs only, the best first, the headline metric first.

MLflow stores such a view in a tag of the experiment, and the page's address names it. Without it, the page lists all
runs by time and shows no metric. Versions of MLflow that do not know the tag, or a part of it, ignore that.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from zslbench.tracking.environment import prepare_environment

VIEW = "zslbench"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
_WORKFLOW = "workflowType=machine_learning"  # opens MLflow's pages for models; the default is those for chats
_RUN_NAME, _CREATED = "attributes.`Run Name`", "runDateAndNestInfo"  # MLflow's names of two columns
# In pixels: a window of 1440 shows all columns down to the split family.
_WIDTHS = {_RUN_NAME: 220, _CREATED: 150, "duration": 80, "params.`family`": 95}
_LETTER, _MARK = 7, 28  # of a column's name, and of the mark of sorting beside it
_LEAST = 70
_SINCE = 1_793_491_200_000  # 2026-11-01 in ms, the date that MLflow shows with the view


def board_view(primary: str) -> str:
    """Return the view of an experiment whose rows the metric ``primary`` ranks."""
    metrics = [primary, f"{primary}_low", f"{primary}_high", "n_splits", "S", "U", "top1_per_class", "fit_seconds"]
    return shared_view(metrics, ("semantics", "family"))


def shared_view(metrics: Sequence[str], params: Sequence[str] = ()) -> str:
    """Return the state of MLflow's page with these columns in this order; the first metric sorts the runs.

    Versions of MLflow that know no order of columns sort them by name.
    """
    columns = {f"metrics.`{name}`": name for name in metrics} | {f"params.`{name}`": name for name in params}
    shown = list(columns)
    widths = {column: max(_LEAST, _MARK + _LETTER * len(name)) for column, name in columns.items()}
    state = {
        "searchFilter": "tags.`zslbench.parent` = 'true'",
        "orderByKey": shown[0],
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": shown,
        "columnOrder": [_RUN_NAME, *shown, _CREATED, "duration"],
        "columnWidths": widths | _WIDTHS,
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
    }
    # MLflow lists views with a name in its menu "Views". Older versions know no names, and read the state itself.
    return json.dumps({"name": "Leaderboard", "createdAt": _SINCE, "state": json.dumps(state), **state})


def experiment_addresses(uri: str, server: str) -> dict[str, str]:
    """Return experiment -> address of its page on ``server``, for zslbench's experiments in the store at ``uri``."""
    prepare_environment()
    from mlflow import MlflowClient

    found = MlflowClient(uri).search_experiments()
    ours = sorted((each.name, each.experiment_id) for each in found if each.name.startswith("zslbench/"))
    return {name: experiment_address(server, number) for name, number in ours}


def experiments_address(server: str) -> str:
    """Return the address of the list of experiments on a server such as ``http://127.0.0.1:5000``."""
    return f"{server.rstrip('/')}/#/experiments?{_WORKFLOW}"


def experiment_address(server: str, experiment_id: str) -> str:
    """Return the address of an experiment's page with our view."""
    return f"{server.rstrip('/')}/#/experiments/{experiment_id}/runs?{_WORKFLOW}&viewStateShareKey={VIEW}"
