"""The trials of a search in MLflow: one run for each, with its values and the figure of each fold."""

from __future__ import annotations

from zslbench.cells.store import Store
from zslbench.tracking._content import FORM, FORM_NOW, PARENT, RunContent, in_ms, metric_name, mlflow_text
from zslbench.tracking.tracker import Tracker
from zslbench.tracking.view import VIEW_TAG, shared_view
from zslbench.tune.study import StudyInfo, Trial, read_studies

SCORE = "held_out_top1_per_class"
_STUDY, _TRIAL = "zslbench.study", "zslbench.trial"
_VIEW = shared_view((SCORE, "sd_over_folds"))
_MOST = 5000  # characters of a tag


class TrialTracker(Tracker):
    """Write ended trials to MLflow, each once.

    Parameters
    ----------
    store, uri
        As for :class:`~zslbench.tracking.tracker.Tracker`.
    info
        The study that the trials are of.

    Raises
    ------
    TrackingError
        Nothing answers at ``uri``; every method can raise it, too.

    Examples
    --------
    >>> from pathlib import Path
    >>> info = StudyInfo("ridge ucf101@c3d 0a1b", "ridge", "ucf101", "c3d", "minilm", "xu-50/50", (0,), 2)
    >>> tracker = TrialTracker(Store(Path("results")), None, info)
    >>> tracker.add(Trial(0, (), (0.4, 0.6), "finished", "", 0.0, 1.0))
    >>> tracker.finish()
    >>> dict(tracker.counts)
    {'created': 1}
    """

    def __init__(self, store: Store, uri: str | None, info: StudyInfo) -> None:
        super().__init__(store, uri)
        self.info = info
        with self._reaching():
            self._known = set()
            for run in self._search(self._experiment(info.experiment, _VIEW), _STUDY, info.name):
                if run.data.tags.get(FORM) != FORM_NOW:
                    self._client.delete_run(run.info.run_id)
                elif run.info.status in ("FINISHED", "FAILED"):
                    self._known.add(run.data.tags.get(_TRIAL))

    def add(self, trial: Trial) -> None:
        """Write a trial, unless MLflow has it."""
        if str(trial.number) in self._known:
            return
        with self._reaching():
            content, experiment = trial_content(self.info, trial), self._experiment(self.info.experiment, _VIEW)
            run = self._client.create_run(experiment, in_ms(content.started), content.tags, content.name)
            self._log(run.info.run_id, content)
            self._client.set_experiment_tag(experiment, VIEW_TAG, _VIEW)
        self._known.add(str(trial.number))
        self.counts["created"] += 1


def sync_trials(store: Store, uri: str | None = None) -> int:
    """Write all trials of a results folder to MLflow; return the number of new ones.

    Raises
    ------
    TrackingError
        Nothing answers at ``uri``.
    ZslbenchError
        There are trials, but Optuna is not installed.
    """
    written = 0
    for info, trials in read_studies(store.root):
        tracker = TrialTracker(store, uri, info)
        for trial in trials:
            tracker.add(trial)
        tracker.finish()
        written += tracker.counts["created"]
    return written


def trial_content(info: StudyInfo, trial: Trial) -> RunContent:
    """Return a trial as a run: the figures of its folds as steps, and the score if all folds were run."""
    from mlflow.entities import Metric

    mark = "SIMULATED " if info.simulated else ""
    ended = in_ms(trial.finished)
    points = [Metric("fold_top1_per_class", value, ended, step) for step, value in enumerate(trial.folds)]
    if trial.state == "finished":
        points += [Metric(SCORE, trial.score, ended, 0), Metric("sd_over_folds", trial.spread, ended, 0)]
    settings = dict(text.partition("=")[::2] for text in (*info.fixed, *trial.settings))
    about = {
        "method": info.label,
        "dataset": info.dataset,
        "features": info.features,
        "semantics": info.semantics,
        "family": info.family,
        "splits": ", ".join(map(str, info.splits)),
        "folds": str(info.folds),
    }
    tags = {
        _STUDY: info.name,
        _TRIAL: str(trial.number),
        FORM: FORM_NOW,
        PARENT: "true",  # the view of the experiment's page lists runs with this tag
        "zslbench.simulated": str(info.simulated).lower(),
        "zslbench.state": trial.state,
        "mlflow.note.content": trial.reason or f"Trial {trial.number} of the study {info.name}: {trial.state}.",
        "mlflow.source.name": "zslbench",
    }
    return RunContent(
        name=f"{mark}{info.label} trial {trial.number}" + ("" if trial.settings else " (the defaults)"),
        started=trial.started,
        finished=trial.finished,
        ok=trial.state != "refused",
        tags={name: mlflow_text(value, _MOST) for name, value in tags.items()},
        params=about | {metric_name(f"set.{name}"): mlflow_text(text, _MOST) for name, text in settings.items()},
        points=points,
    )
