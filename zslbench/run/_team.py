"""The workers of a Dask scheduler that may get cells: each new one is asked first what it has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zslbench.errors import ZslbenchError
from zslbench.run.probe import Questions, answered

_SCHEDULER_SECONDS = 60.0  # a scheduler that does not answer for so long has ended or hangs
_ANSWER_SECONDS = 180.0  # a first import from a slow network folder takes a minute
_LATER_SECONDS = 5.0  # a wait for further workers while all that came are refused
_SAY_SECONDS = 10.0


@dataclass(frozen=True)
class Expected:
    """How many workers come, how long to wait for one, and whether a worker must let its process be ended.

    ``workers`` is ``None`` if others start them; ``hint`` follows the sentence that none has come.
    """

    scheduler: str = "the Dask scheduler of this run"
    workers: int | None = None
    wait: float = 120.0
    ends: bool = False
    hint: str = "start workers, and give the same command again"


@dataclass
class _Member:
    name: str
    memory: int
    since: float = field(default_factory=time.time)
    answer: Any = None
    judged: bool = False
    reason: str | None = None


class Team:
    """Workers that have answered as this run needs it."""

    def __init__(self, client: Any, questions: Questions, say: Callable[[str], None], expected: Expected) -> None:
        self._client = client
        self._questions = questions
        self._say = say
        self._expected = expected
        self._members: dict[str, _Member] = {}
        self._told: set[tuple[str, str]] = set()
        self._hope = self._began = time.time()
        self._came = False

    def known(self) -> set[str]:
        """Return the addresses of all workers; ask new ones.

        Raises
        ------
        ZslbenchError
            The scheduler has ended, or no worker is left that can run a cell.
        """
        workers = self._workers()
        for address in self._members.keys() - workers.keys():
            del self._members[address]
        for address in workers.keys() - self._members.keys():
            self._members[address] = self._meet(address, workers[address])
        for address, member in self._members.items():
            self._judge(address, member)
        self._despair()
        return set(workers)

    def usable(self) -> set[str]:
        """Return the addresses of the workers that may get cells."""
        return {address for address, member in self._members.items() if member.judged and member.reason is None}

    def memory(self, address: str) -> int:
        """Return the limit of a worker's memory in bytes; 0 for none."""
        return self._members[address].memory

    def gone(self) -> ZslbenchError:
        """Return the error of a scheduler that has ended."""
        return ZslbenchError(
            f"{self._expected.scheduler} has ended or does not answer; the cells that ran are not recorded. Start it, "
            f"and give the same command again."
        )

    def _workers(self) -> dict[str, Any]:
        if self._client.status != "running":
            raise self.gone()
        try:
            ask = self._client.scheduler.identity
            found = self._client.sync(ask, n_workers=-1, callback_timeout=_SCHEDULER_SECONDS)
        except (OSError, AttributeError) as error:  # the client forgets a scheduler that it has lost
            raise self.gone() from error
        return dict(found["workers"])

    def _meet(self, address: str, worker: dict[str, Any]) -> _Member:
        member = _Member(str(worker.get("name", address)), worker.get("memory_limit") or 0)
        self._came = True
        if self._expected.ends and not worker.get("nanny"):
            member.judged = True
            member.reason = "its process could not be ended at --timeout; start it with a nanny (without --no-nanny)"
            self._tell(address, member)
            return member

        def ask() -> None:
            run = self._client.run
            try:
                asked = self._questions.asked
                member.answer = run(answered, asked, workers=[address], on_error="return").get(address)
            except Exception as error:  # its worker may be gone
                member.answer = error

        # A thread that cannot keep this process alive: a hung worker never answers.
        threading.Thread(target=ask, daemon=True).start()
        return member

    def _judge(self, address: str, member: _Member) -> None:
        if member.judged:
            return
        if member.answer is not None:
            member.judged, member.reason = True, self._questions.reason(member.answer)
        elif time.time() - member.since > _ANSWER_SECONDS:
            member.judged, member.reason = True, f"it has not answered for {_ANSWER_SECONDS:g} s; restart it"
        if member.reason:
            self._tell(address, member)

    def _tell(self, address: str, member: _Member) -> None:
        """Name a worker once; one that its nanny restarts has another address and the same name."""
        if (member.name, str(member.reason)) not in self._told:
            self._told.add((member.name, str(member.reason)))
            shown = address if member.name == address else f"{member.name} ({address})"
            self._say(f"worker {shown} gets no cells: {member.reason}.")

    def _despair(self) -> None:
        """End a run that no worker can continue."""
        now = time.time()
        members = self._members.values()
        if any(not (member.judged and member.reason) for member in members):
            self._hope = now
            return
        expected = self._expected.workers
        all_here = members and (expected is None or len(members) >= expected)
        if now - self._hope > (_LATER_SECONDS if all_here else self._expected.wait):
            if not members:
                raise ZslbenchError(f"no Dask worker {'is left' if self._came else 'has come'}; {self._expected.hint}.")
            first = next(iter(members))
            more = f" (and {len(members) - 1} more workers)" if len(members) > 1 else ""
            raise ZslbenchError(f"no Dask worker can run these cells: {first.name}{more}: {first.reason}.")
        if not self._came and self._began and now - self._began > _SAY_SECONDS:
            self._began = 0.0
            self._say(f"no worker has come yet; waiting up to {self._expected.wait:g} s")
