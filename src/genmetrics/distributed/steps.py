"""Work that may never end, in threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["LONGEST_PAUSE", "Step", "within"]

Result = TypeVar("Result")

#: The longest time between two looks at what is waited for, in seconds.
LONGEST_PAUSE = 0.25


class Step(Generic[Result]):
    """Work in a thread of its own, so that this one can look whether it will ever end."""

    def __init__(self, work: Callable[[Step[Result]], Result]) -> None:
        self.done = threading.Event()
        self.given_up = threading.Event()
        self._work = work
        self._result: Result | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._do, name="genmetrics-exchange", daemon=True).start()

    def give_up(self) -> None:
        """Look no further; most work ends soon then.

        A thread that comes back from torch while the interpreter is taken down would abort the process.
        """
        self.given_up.set()
        self.done.wait(LONGEST_PAUSE)

    def result(self) -> Result:
        """What came of the work once it is done; raises what it raised."""
        if self._error is not None:
            raise self._error
        result: Result = self._result  # type: ignore[assignment]
        return result

    def _do(self) -> None:
        try:
            self._result = self._work(self)
        except BaseException as error:
            self._error = error
        finally:
            self.done.set()


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Do something that may never end; raises a ``TimeoutError`` after so many seconds."""
    step = Step(lambda _: work())
    if not step.done.wait(seconds):
        raise TimeoutError
    return step.result()
