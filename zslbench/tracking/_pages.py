"""MLflow's server as ``zslbench ui`` starts it: its pages open on the rows of results.

MLflow finds it by the entry point ``mlflow.app``; nothing else imports it. MLflow's pages keep the following choices in
the browser, and have no option for them. Here each has a default, which the reader can change:

* the pages are those for models, not those for chats,
* an experiment opens with the view of :mod:`zslbench.tracking.view`, also from MLflow's own list,
* the panel of the assistant does not open by itself. Its button is hidden, too.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from flask import request
from mlflow.entities import Experiment
from mlflow.server import app as pages
from mlflow.server import handlers
from mlflow.server.fastapi_app import create_fastapi_app

from zslbench.tracking.view import VIEW_TAG

_CHOICES = {"mlflow.workflowType_v1": "machine_learning", "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True}
_STATE = 'MLflowLocalStorage-1.1-ExperimentPage-["{}"]-ReactComponentState'  # where a page keeps its columns
_HEAD = """<style>[data-assistant-ui] {{ display: none !important }}</style>
<script>
for (const [key, value] of Object.entries({choices})) localStorage[key] ??= JSON.stringify(value)
location.hash ||= "#/experiments{one}"
</script>"""


@pages.before_request
def first_page() -> str | None:
    """Return the page that loads MLflow's, with the choices; ``None`` for any other address."""
    index = Path(pages.static_folder or "", "index.html")
    if request.path != "/" or not index.is_file():
        return None
    store: Any = handlers._get_tracking_store()  # noqa: SLF001 - MLflow offers no other way to it
    experiments = list(store.search_experiments())
    return index.read_text(encoding="utf-8").replace("<head>", f"<head>{head(experiments)}", 1)


def head(experiments: list[Experiment]) -> str:
    """Return what the page begins with: the choices, and the only experiment of zslbench as its first address."""
    views = {}
    for each in experiments:
        with contextlib.suppress(KeyError, ValueError):
            views[each.experiment_id] = json.loads(each.tags[VIEW_TAG])
    choices = _CHOICES | {_STATE.format(number): view for number, view in views.items()}
    one = f"/{next(iter(views))}/runs" if len(views) == 1 else ""
    return _HEAD.format(choices=json.dumps(choices).replace("<", r"\u003c"), one=one)


app = create_fastapi_app(pages)
