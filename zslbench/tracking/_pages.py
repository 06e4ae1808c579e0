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

from zslbench.digests import digest
from zslbench.tracking.view import VIEW_TAG

_CHOICES = {"mlflow.workflowType_v1": "machine_learning", "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True}
_STATE = 'MLflowLocalStorage-1.1-ExperimentPage-["{}"]-ReactComponentState'  # where a page keeps its columns
# The mark of a view is another one for another results folder on the same port, whose experiments have the same ids.
_HEAD = """<style>[data-assistant-ui] {{ display: none !important }}</style>
<script>
for (const [key, value] of Object.entries({choices})) localStorage[key] ??= JSON.stringify(value)
for (const [key, mark, view] of {views}) if (localStorage["zslbench " + key] !== mark) {{
  localStorage["zslbench " + key] = mark
  localStorage[key] = JSON.stringify(view)
}}
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
    views, numbers = [], []
    for each in experiments:
        with contextlib.suppress(KeyError, ValueError):
            tag, number = json.loads(each.tags[VIEW_TAG]), each.experiment_id
            view = json.loads(tag["state"]) if "state" in tag else tag  # zslbench 0.1 wrote the state alone
            views.append((_STATE.format(number), digest([each.name, each.creation_time, view]), view))
            numbers.append(number)
    one = f"/{numbers[0]}/runs" if len(numbers) == 1 else ""
    return _HEAD.format(choices=json.dumps(_CHOICES), views=json.dumps(views).replace("<", r"\u003c"), one=one)


app = create_fastapi_app(pages)
