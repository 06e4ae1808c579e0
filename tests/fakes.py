"""Small made-up cells for tests of what happens after a cell has run."""

from zslbench.cells.cell import Cell, ClassCounts, Failure, Result, State
from zslbench.cells.store import Record
from zslbench.digests import digest


def fake_record(
    method="ridge",
    split=0,
    *,
    top1=(8, 5, 2),
    scored=None,
    names=("jump", "kick", "ride bike", "run", "walk"),
    unseen=None,
    seed=0,
    state=State.DONE,
    finished=1_000.0,
    metrics=None,
    epochs=(),
    fit_seconds=1.5,
    **cell,
):
    """Return a record; ``cell`` takes any field of :class:`Cell`."""
    name = method.partition(":")[0]
    scored, names = scored or (10,) * len(top1), names[: len(top1)]
    values = {
        "method": name,
        "label": method,
        "method_version": "1",
        "method_digest": digest(["code", name]),
        "params": {},
        "dataset": "hmdb51",
        "classes_digest": digest("classes"),
        "features": "c3d",
        "features_digest": digest("c3d"),
        "semantics": "minilm",
        "semantics_digest": digest("minilm"),
        "protocol": "zsl",
        "family": "xu-50/50",
        "family_digest": digest("xu-50/50"),
        "split": split,
        "split_digest": digest(["split", split]),
        "family_size": 50,
        "seed": seed,
        "budget": ("class-vectors",),
    }
    made = Cell(**(values | cell))
    if state is not State.DONE:
        failure = Failure(type="ValueError", message="it broke", traceback="Traceback ...")
        return Record(made, Result(state=state, started=finished - 2, finished=finished, failure=failure))
    counts = ClassCounts(
        names=names,
        unseen=unseen or (True,) * len(names),
        scored=scored,
        top1=top1,
        top5=scored,
    )
    present = sum(n for n, counted in zip(scored, counts.unseen, strict=True) if counted)
    result = Result(
        state=state,
        metrics={"top1": sum(top1) / sum(scored), "chance": 1 / len(names)} | (metrics or {}),
        classes=counts,
        expected=present,
        present=present,
        fit_seconds=fit_seconds,
        score_seconds=0.1,
        peak_mb=100.0,
        epochs=list(epochs),
        started=finished - 2,
        finished=finished,
    )
    return Record(made, result)


def fake_store(root, records):
    """Return a store that holds ``records``."""
    from zslbench.cells.store import Store

    store = Store(root)
    for record in records:
        store.write(record.cell, record.result)
    return store
