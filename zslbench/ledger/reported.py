"""Who reports which setting, and the setting of a source: ``run --protocol-of``."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence

from zslbench.errors import NotFoundError, ZslbenchError, suggest
from zslbench.ledger.published import Published, published_results
from zslbench.protocols.settings import Setting, all_settings

Given = Mapping[str, Sequence[str]]  # option -> the values that the user gave


def papers_of(setting: str) -> list[str]:
    """Return the short names of the sources that report a setting, sorted.

    Examples
    --------
    >>> papers_of("truze-v1")
    ['zsarcap']
    """
    return sorted({row.paper for row in published_results() if row.setting == setting and row.paper})


def datasets_here(row: Published) -> tuple[str, ...]:
    """Return the datasets here that a figure was measured on; ``()`` if it is of no setting."""
    if row.setting is None:
        return ()
    datasets = all_settings()[row.setting].datasets
    return (row.dataset,) if row.dataset in datasets else datasets


def reported_by(paper: str) -> dict[str, tuple[str, ...]]:
    """Return setting -> datasets that a source reports, in the order of the catalogue.

    Raises
    ------
    NotFoundError
        The ledger has no such source, or none of its figures is of a setting.
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for row in published_results():
        if row.paper == paper and row.setting is not None:
            found[row.setting] |= dict.fromkeys(datasets_here(row))
    if not found:
        known = {row.paper for row in published_results() if row.paper and row.setting}
        raise NotFoundError(f"no source of the ledger is called {paper!r}.{suggest(paper, known)}")
    return {name: tuple(found[name]) for name in all_settings() if name in found}


def choose_setting(text: str, given: Given) -> tuple[Setting, tuple[str, ...]]:
    """Return the setting that ``SOURCE`` or ``SOURCE:SETTING`` names, and the datasets on which it is reported.

    Parameters
    ----------
    given
        The values of ``dataset``, ``protocol``, ``family`` and ``splits``; they choose among several settings. Without
        a protocol or a setting, the zero-shot ones count if there are any.

    Raises
    ------
    NotFoundError
        The source or the setting is unknown.
    ZslbenchError
        An option contradicts every setting of the source, or several settings remain.

    Examples
    --------
    >>> setting, datasets = choose_setting("sti", {"dataset": ["hmdb51"]})
    >>> setting.name, datasets
    ('k400->hmdb51', ('hmdb51',))
    """
    paper, _, wanted = text.partition(":")
    found = reported_by(paper)
    if wanted and wanted not in found:
        raise NotFoundError(f"{paper} reports no setting {wanted!r}.{suggest(wanted, found)}")
    kept = {name: datasets for name, datasets in found.items() if not wanted or name == wanted}
    for option, values in given.items():
        fits = {name: datasets for name, datasets in kept.items() if _fits(name, datasets, option, values)}
        if not fits:
            raise ZslbenchError(
                f"--{option} {' '.join(values)} contradicts --protocol-of {shlex.quote(text)}: {paper} reports "
                f"{_described(kept)}; leave one of the two options out."
            )
        kept = fits
    if "protocol" not in given and not wanted:  # zero-shot is what this benchmark is for
        kept = {name: datasets for name, datasets in kept.items() if all_settings()[name].protocol == "zsl"} or kept
    if len(kept) > 1:
        example = shlex.quote(f"{paper}:{next(iter(kept))}")
        raise ZslbenchError(
            f"{paper} reports {len(kept)} settings: {_described(kept)}; name one, as in --protocol-of {example}."
        )
    ((name, datasets),) = kept.items()
    return all_settings()[name], datasets


def _fits(name: str, datasets: Sequence[str], option: str, values: Sequence[str]) -> bool:
    setting = all_settings()[name]
    allowed = {
        "dataset": datasets, "protocol": (setting.protocol,), "family": setting.families, "splits": (setting.splits,),
    }  # fmt: skip
    return set(values) <= set(allowed[option])


def _described(settings: Mapping[str, Sequence[str]]) -> str:
    """Return ``kinetics-zsar (zsl of kinetics600, splits all), ...``."""
    known = all_settings()
    return ", ".join(
        f"{name} ({known[name].protocol} of {' and '.join(datasets)}, splits {known[name].splits})"
        for name, datasets in settings.items()
    )
