"""The option ``--protocol-of`` of ``zslbench run``: a setting of a source of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zslbench.cli._output import echo
from zslbench.datasets.catalog import get_dataset
from zslbench.errors import ZslbenchError
from zslbench.families.catalog import first_family
from zslbench.ledger.reported import choose_setting
from zslbench.protocols.settings import Setting

_PARTS = ("train", "without_overlap", "shots")
_CHOOSES = ("dataset", "protocol", "family", "splits")  # options that choose among the settings of a source


def as_reported(source: str, options: dict[str, Any]) -> Setting:
    """Complete the options of a run such that it has the setting of ``SOURCE`` or ``SOURCE:SETTING``, and say which.

    Raises
    ------
    ZslbenchError
        The source is unknown, or an option contradicts it. Or several settings, datasets or split families remain;
        the message names the remedy.
    """
    if extra := next((name for name in _PARTS if options.get(name)), None):
        raise ZslbenchError(
            f"--{extra.replace('_', '-')} is part of a setting, as --protocol-of {source} is; leave one of the two out."
        )
    given = {name: _several(options[name]) for name in _CHOOSES if options.get(name)}
    setting, datasets = choose_setting(source, given)
    if "dataset" not in given and len(datasets) > 1:
        raise ZslbenchError(f"{source} reports {setting.name} on {', '.join(datasets)}; choose with --dataset.")
    options.setdefault("dataset", datasets)
    tested = [get_dataset(name) for name in options["dataset"] or datasets]
    families = {dataset.name: first_family(dataset, setting.families) for dataset in tested}
    if "family" not in given and len(set(families.values())) > 1:
        each = ", ".join(f"{family} on {name}" for name, family in families.items())
        raise ZslbenchError(f"{setting.name} of {source} is {each}; run one --dataset at a time.")
    options |= {"dataset": tuple(families), "protocol": (setting.protocol,), "splits": setting.splits}
    options["family"] = options.get("family") or next(iter(families.values()))
    _tell(source.partition(":")[0], setting, options)
    return setting


def _several(value: str | int | Sequence[str]) -> tuple[str, ...]:
    return (str(value),) if isinstance(value, str | int) else tuple(value)


def _tell(paper: str, setting: Setting, options: Mapping[str, Any]) -> None:
    echo(
        f"note: as {paper} reports ({setting.name}): protocol {setting.protocol}, family {options['family']}, splits "
        f"{setting.splits}, figure {setting.figure}. {setting.convention}",
        err=True,
    )
