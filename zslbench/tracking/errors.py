"""Say in a sentence why MLflow does not take what it is given."""

from __future__ import annotations

from filelock import Timeout

from zslbench.errors import ZslbenchError

_AWAY = ("Max retries exceeded", "timed out")  # requests and urllib3 wrap a refused connection in long texts
_DAMAGED = ("file is not a database", "malformed")  # in SQLite's messages


class TrackingError(ZslbenchError):
    """MLflow does not answer or refused something; the results are safe in the store.

    Examples
    --------
    >>> from pathlib import Path
    >>> from zslbench.cells.store import Store
    >>> from zslbench.tracking.tracker import Tracker
    >>> _ = Path("mlflow.db").write_text("no database")
    >>> Tracker(Store(Path()))
    Traceback (most recent call last):
    zslbench.tracking.errors.TrackingError: ...mlflow.db is damaged (file is not a database); delete it.
    """


def refusal(error: Exception, uri: str) -> str:
    """Return why MLflow at ``uri`` raised an error, and what can be done."""
    place = uri.removeprefix("sqlite:///")
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
    if isinstance(error, Timeout):
        return "another run has not let MLflow go for minutes; wait until it has ended."
    if any(words in reason for words in _AWAY):
        return f"no MLflow server answers at {uri}; start the server, or check its address."
    if any(words in reason for words in _DAMAGED):
        return f"{place} is damaged ({reason}); delete it."
    if "database is locked" in reason:
        return f"{place} is in use by another program; close that program."
    if "readonly database" in reason:
        return f"{place} cannot be written; change its permissions."
    return f"MLflow at {uri} refused: {reason}."
