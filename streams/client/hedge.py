"""One request and, where it is slow or fails, one more of the same: the first full answer is taken.

One that is not full, like a degraded decision, is held back until the deadline while the other may bring better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from streams.client.answers import DecisionAnswer, Settled, UnusableError, is_full
from streams.client.errors import ProblemError, UnavailableError

T = TypeVar("T", DecisionAnswer, Settled)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times of the event loop's clock, seconds: when the second attempt sets out if the first is not back, the
    deadline, after which none does, and when nothing is waited for any more."""

    hedge_at_s: float
    due_s: float
    give_up_s: float


@dataclass
class Race(Generic[T]):
    """Attempts at one request; `attempt` is given 1 and then 2, `names` says of each whom it asks."""

    attempt: Callable[[int], Coroutine[Any, Any, T]]
    names: Sequence[str]
    schedule: Schedule
    _running: dict[asyncio.Task[T], int] = field(default_factory=dict[asyncio.Task[T], int], init=False)
    _failures: list[str] = field(default_factory=list[str], init=False)
    _started: int = field(default=0, init=False)
    _held: T | None = field(default=None, init=False)

    async def run(self) -> T:
        """The first full answer, else the first. Raises what an attempt does beside UnusableError where there is no
        answer yet, and UnavailableError."""
        self._start()
        try:
            while self._running:
                answer = self._best_of(await self._returned())
                if answer is not None:
                    return answer
                if self._may_start():
                    self._start()
                elif _now_s() >= self.schedule.give_up_s:
                    break
            raise UnavailableError((*self._failures, *self._unanswered()))
        finally:
            await self._cancel()

    def _best_of(self, over: Sequence[asyncio.Task[T]]) -> T | None:
        """What is to be taken now that these attempts are over; None where something better may come."""
        for task in over:
            number = self._running.pop(task)
            try:
                answer = task.result()
            except UnusableError as error:
                self._failures.append(f"attempt {number}: {error}")
            except ProblemError:
                # An answer that is held stands: the other gateway may have refused for a limit of its own.
                if self._held is None:
                    raise
            else:
                if is_full(answer):
                    return answer
                self._held = answer if self._held is None else self._held
        may_better = self._running and _now_s() < self.schedule.due_s
        return None if may_better else self._held

    def _start(self) -> None:
        self._started += 1
        self._running[asyncio.create_task(self.attempt(self._started))] = self._started

    async def _returned(self) -> list[asyncio.Task[T]]:
        """The attempts that are over when one is, or when it is time for something else; answers before errors."""
        times, now_s = self.schedule, _now_s()
        waits_to_hedge = self._started == 1 and now_s < times.hedge_at_s < times.due_s
        last_s = times.give_up_s if self._held is None else times.due_s
        until_s = min(times.hedge_at_s, last_s) if waits_to_hedge else last_s
        done, _ = await asyncio.wait(
            self._running, timeout=max(0.0, until_s - now_s), return_when=asyncio.FIRST_COMPLETED
        )
        return sorted(done, key=lambda task: (task.exception() is not None, self._running[task]))

    def _may_start(self) -> bool:
        """Whether the second sets out: the first has failed, or has been out for as long as it may alone."""
        now_s = _now_s()
        late = not self._running or now_s >= self.schedule.hedge_at_s
        return self._started == 1 and late and now_s < self.schedule.due_s

    def _unanswered(self) -> list[str]:
        return [f"attempt {number}: {self.names[number - 1]}: no answer" for number in sorted(self._running.values())]

    async def _cancel(self) -> None:
        """What is still under way is of no use to anybody; its connection is closed."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
