"""Searchers that fail: what is said of them, and the time within which they must make a step."""

import ctypes
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from nasgauge.harness.records.results import Unit
from nasgauge.spaces.errors import NasgaugeError

TIME_LIMIT: Final = 120.0
"""Seconds in which a searcher must make its next step."""


HANGS: Final = "hangs: "
"""Beginning of the reason of a searcher that makes no step."""


class SearcherFailed(NasgaugeError, RuntimeError):
    """A searcher that raised, hung, died or asked for nothing, so that it has no result."""

    exit_code = 1


class UnitsFailed(SearcherFailed):
    """Units of a campaign that have no result, each with its reason in `failures`; all others are kept."""

    def __init__(self, failures: Sequence["Failure"], kept: int) -> None:
        self.failures = tuple(failures)
        runs = sum(unit.runs for unit, _ in failures)
        super().__init__(
            f"{runs} runs failed, {kept} others were made and are kept; mend the searcher and run the same "
            "again, which runs only what is missing"
        )
        cases = sorted(failures, key=lambda failure: (failure.unit.searcher, failure.reason, failure.unit))
        for (searcher, reason), group in groupby(cases, lambda case: (case.unit.searcher, case.reason)):
            where = ", ".join(f"{unit.dataset} seeds {unit.first} to {unit.last}" for unit, _ in group)
            self.add_note(f"{searcher} failed: {reason}; on {where}")


class Failure(NamedTuple):
    """A unit without a result."""

    unit: Unit
    reason: str


class Hangs(BaseException):
    """Raised in a searcher that makes no step for too long; not an Exception, so that it rarely is caught."""


def reason_of(error: BaseException, searcher: Callable[..., object]) -> str:
    """What a searcher raised, in one line with the last place in its own package.

    >>> def mine(): return 1 // 0
    >>> try:
    ...     mine()
    ... except ZeroDivisionError as error:
    ...     print(reason_of(error, mine).partition(" (")[0])
    ZeroDivisionError: integer division or modulo by zero
    """
    if isinstance(error, NasgaugeError) and error.__cause__ is not None:
        error = error.__cause__
    try:
        said = str(error)
    except Exception:  # of its own `__str__`
        said = "its text cannot be shown"
    what = said if isinstance(error, NasgaugeError | Hangs) else f"{type(error).__name__}: {said}"
    return f"{' '.join(what.split())}{_place(error, searcher)}"


def _place(error: BaseException, searcher: Callable[..., object]) -> str:
    own = searcher.func if isinstance(searcher, partial) else searcher
    package = str(own.__module__).partition(".")[0]
    frames = [
        (frame.f_code, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    if not frames:
        return ""
    code, line = frames[-1]
    return f" ({Path(code.co_filename).name}, line {line}, in {code.co_name})"


@contextmanager
def time_limit(seconds: float, progress: Callable[[], object]) -> Iterator[None]:
    """Raise `Hangs` inside the block once `progress()` gives the same value for so many seconds; 0 for no limit.

    Python code is interrupted; a call into another language only when it returns, and a sleep only in the main
    thread of a process.
    """
    if not seconds:
        yield
        return
    last, since = progress(), time.monotonic()

    def look(*_: object) -> bool:
        nonlocal last, since
        now = progress()
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > seconds

    said = f"{HANGS}no step within {seconds:g} seconds; raise the time limit if it is only slow"
    in_main = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")
    with (_alarm if in_main else _watch)(min(seconds / 4, 1.0), look, said):
        yield


@contextmanager
def _alarm(every: float, late: Callable[[], bool], said: str) -> Iterator[None]:
    """Raise Hangs in the main thread, by the timer of the process."""

    def look(*_: object) -> None:
        if late():
            raise Hangs(said)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _watch(every: float, late: Callable[[], bool], said: str) -> Iterator[None]:
    """Raise Hangs in this thread, by another one: engines may run searchers in threads."""
    over, raised, thread = threading.Event(), threading.Lock(), ctypes.c_ulong(threading.get_ident())

    def look() -> None:
        while not over.wait(every):
            with raised:
                if late() and not over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Hangs))
                    return

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    except Hangs:
        raise Hangs(said) from None
    finally:
        over.set()
