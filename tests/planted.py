"""Searchers that are worse than they were, and searchers that break a law: what the gate and the kit must catch.

Tests put this folder on the path, so a searcher is named `planted:Class`.
"""
# ruff: noqa: ARG002 - a broken searcher does not use what it is given

import contextlib
import importlib
import itertools
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasgauge.searchers.evolution import Evolution
from nasgauge.searchers.random_search import RandomSearch
from nasgauge.spaces.cells import EDGES, OPERATIONS, Cell
from nasgauge.spaces.nb201 import NB201

Array = NDArray[np.float64]
Random = RandomSearch[Cell]

# --- before and after a regression


class Healthy(Evolution[Cell]):
    """Evolution as it is."""


class NoSelection(Evolution[Cell]):
    """Evolution whose tournament has one player, so that nothing is selected."""

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        super().__init__(space, rng, tournament=1)


class Refactored(Evolution[Cell]):
    """Evolution that draws its numbers in another order: other searches, no better and no worse."""

    def ask(self) -> list[Cell]:
        self.rng.random()
        return super().ask()


class TwiceAsSlow(Evolution[Cell]):
    """Evolution that takes the processor's time of each ask twice."""

    def ask(self) -> list[Cell]:
        start = time.process_time()
        batch = super().ask()
        end = 2 * time.process_time() - start
        while time.process_time() < end:
            pass
        return batch


class Sleeping(Evolution[Cell]):
    """Evolution that waits in each ask, which costs no processor's time."""

    def ask(self) -> list[Cell]:
        time.sleep(1e-4)
        return super().ask()


class Ridge:
    """The least that predicts."""

    def fit(self, x: Array, y: Array) -> "Ridge":
        self.mean = float(y.mean())
        self.weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (y - self.mean))
        return self

    def predict(self, x: Array) -> Array:
        expected: Array = self.mean + x @ self.weights
        return expected


class ShuffledRidge(Ridge):
    """The same, learning from accuracies that were dealt to the wrong cells."""

    def fit(self, x: Array, y: Array) -> Ridge:
        return super().fit(x, np.random.default_rng(len(y)).permutation(y))


class Surrogate:
    """Ask for the cells of which a ridge regression expects most."""

    ridge: Callable[[], Ridge] = Ridge

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        self.space = space
        self.rng = rng
        self.cells: list[Cell] = []
        self.accuracies: list[float] = []

    def ask(self) -> list[Cell]:
        candidates = [self.space.sample(self.rng) for _ in range(100)]
        if len(self.cells) < 20:
            return candidates[:10]
        model = self.ridge().fit(self.encode(self.cells), np.array(self.accuracies))
        expected = model.predict(self.encode(candidates))
        return [candidates[place] for place in np.argsort(-expected, kind="stable")[:10].tolist()]

    def encode(self, cells: list[Cell]) -> Array:
        return np.stack([self.space.encode(cell) for cell in cells])

    def tell(self, cell: Cell, accuracy: float) -> None:
        self.cells.append(cell)
        self.accuracies.append(max(accuracy, 80.0))


class ShuffledSurrogate(Surrogate):
    """The same, with a surrogate that learns nothing."""

    ridge = ShuffledRidge


def progressive(ridge: Callable[[], Ridge]) -> Callable[..., object]:
    """Progressive search with a surrogate of ours, where that searcher is part of the package."""
    pnas = importlib.import_module("nasgauge.searchers.pnas").PNAS

    class Progressive(pnas):  # type: ignore[misc, valid-type]  # the searcher is found by its name
        def __init__(self, space: NB201, rng: np.random.Generator) -> None:
            super().__init__(space, rng, surrogate=ridge())

    return Progressive


def __getattr__(name: str) -> object:
    """`PNAS` and `ShuffledPNAS`, made when they are asked for."""
    kinds = {"PNAS": Ridge, "ShuffledPNAS": ShuffledRidge}
    if name not in kinds:
        raise AttributeError(name)
    return progressive(kinds[name])


# --- broken


class Raises(Random):
    def tell(self, cell: Cell, accuracy: float) -> None:
        raise KeyError("lost")


class RaisesWhenMade(Random):
    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        raise TypeError("no such option")


class AsksNothing(Random):
    def ask(self) -> list[Cell]:
        return []


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class RaisesUnprintable(Random):
    def ask(self) -> list[Cell]:
        raise Unprintable


class Panics(Random):
    """As a Rust extension whose panic is no Exception."""

    class Panic(BaseException):
        pass

    def ask(self) -> list[Cell]:
        raise self.Panic("index out of bounds")


class ChargesNaN(Random):
    search_seconds = float("nan")


class NeedsMoreLater(Random):
    least = 0

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        super().__init__(space, rng)
        type(self).made += 1
        self.least = 100 * (self.made > 3)

    made = 0


class RaisesForFive(Random):
    """Raises in the run of seed 5."""

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        super().__init__(space, rng)
        self.seed = getattr(rng.bit_generator.seed_seq, "entropy", None)

    def ask(self) -> list[Cell]:
        if self.seed == 5:
            raise RuntimeError("five")
        return super().ask()


class DiesAtThirteen(Random):
    """Ends its process at its thirteenth question."""

    asked = 0

    def ask(self) -> list[Cell]:
        self.asked += 1
        if self.asked > 12:
            os._exit(7)
        return super().ask()


class Hangs(Random):
    def tell(self, cell: Cell, accuracy: float) -> None:
        while True:
            pass


class HangsWhenMade(Random):
    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        time.sleep(60)


class Dies(Random):
    def tell(self, cell: Cell, accuracy: float) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Leaves(Random):
    def tell(self, cell: Cell, accuracy: float) -> None:
        sys.exit(0)


class LeavesWhenMade(Random):
    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        raise SystemExit(3)


class HangsForGood(Random):
    """It hangs, and catches every exception."""

    def tell(self, cell: Cell, accuracy: float) -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(60)


class Exits(Random):
    def tell(self, cell: Cell, accuracy: float) -> None:
        os._exit(0)


class EatsMemory(Random):
    def tell(self, cell: Cell, accuracy: float) -> None:
        self.eaten = [np.empty(1 << 27) for _ in range(1 << 14)]  # a GiB each, which no page is touched of


class AsksNone(Random):
    def ask(self) -> Any:
        return None


class AsksEmptyIterator(Random):
    def ask(self) -> Any:
        return iter(())


class RecommendsOthers(Random):
    def recommend(self) -> Cell:
        return Cell(("none",) * len(EDGES))


class ChargesBackwards(Random):
    charged = 0.0

    @property
    def search_seconds(self) -> float:
        self.charged -= 10.0
        return self.charged


# --- lawless


class AsksText(Random):
    def ask(self) -> Any:
        return [str(cell) for cell in super().ask()]


class AsksForgery(Random):
    """A cell that its class never checked."""

    def ask(self) -> list[Cell]:
        forged: Cell = object.__new__(Cell)
        object.__setattr__(forged, "ops", ("conv_7x7",) * len(EDGES))
        return [forged]


class AsksForever(Random):
    """A batch without an end."""

    def ask(self) -> Any:
        return itertools.cycle(super().ask())


class AsksOnce(Random):
    """Done after one cell."""

    asked = False

    def ask(self) -> list[Cell]:
        asked, self.asked = self.asked, True
        return [] if asked else super().ask()


class AsksTooMuch(Random):
    def ask(self) -> list[Cell]:
        return list(NB201()) * 2


class AnswersUnseen(Random):
    """An answer that it never evaluated."""

    def recommend(self) -> Cell:
        return Cell((OPERATIONS[3],) * len(EDGES))


class Unseeded(Random):
    def ask(self) -> list[Cell]:
        return [self.space.sample(np.random.default_rng())]


class HashOrder(Random):
    """Takes its turns in the order of a set of texts."""

    def ask(self) -> list[Cell]:
        texts = {str(self.space.sample(self.rng)) for _ in range(20)}
        return [Cell.parse(next(iter(texts)))]


class GlobalNumpy(Random):
    def ask(self) -> list[Cell]:
        return [NB201()[np.random.randint(15_625)]]  # noqa: NPY002 - planted


class GlobalRandom(Random):
    def ask(self) -> list[Cell]:
        return [NB201()[random.randrange(15_625)]]


class OneAtATime(Random):
    """Lost when a second cell is asked for before the first is told."""

    waiting = False

    def ask(self) -> list[Cell]:
        if self.waiting:
            raise RuntimeError("tell me first")
        self.waiting = True
        return super().ask()

    def tell(self, cell: Cell, accuracy: float) -> None:
        self.waiting = False


def found_above(name: str) -> Any:
    """A local variable of whoever called the searcher: how to reach for what one was not given."""
    frame = sys._getframe(1)
    while frame is not None:
        if name in frame.f_locals and frame.f_code.co_name == "run":
            return frame.f_locals[name]
        frame = frame.f_back  # type: ignore[assignment]
    return None


class DiesInBatches(OneAtATime):
    """Ends its process where a second cell is asked for before the first is told."""

    def ask(self) -> list[Cell]:
        if self.waiting:
            os._exit(7)
        return super().ask()


class EvaluatesItself(Random):
    """Looks ten cells up behind the runner's back, and asks for the best."""

    def ask(self) -> list[Cell]:
        cells = [self.space.sample(self.rng) for _ in range(10)]
        oracle = found_above("oracle")
        return [max(cells, key=lambda cell: oracle.evaluate(cell)[0] if oracle else 0.0)]


class KnowsTheBudget(Random):
    """Starts otherwise when there is little time."""

    def ask(self) -> list[Cell]:
        budget = found_above("budget")
        if budget is not None and budget.amount < 10:
            return [NB201()[0]]
        return super().ask()


class SeesTest(Random):
    """Takes the oracle's formula and reads the test accuracy."""

    def ask(self) -> list[Cell]:
        cells = [self.space.sample(self.rng) for _ in range(2)]
        oracle = found_above("oracle")
        return [max(cells, key=lambda cell: type(oracle).evaluate(oracle, cell).test if oracle else 0.0)]


class ReadsFile(Random):
    """Keeps a benchmark's figures in a file of its own."""

    def ask(self) -> list[Cell]:
        np.load(Path(os.environ["PLANTED_FILE"]))
        return super().ask()


class OpensFile(Random):
    """Reads whatever file it is."""

    def ask(self) -> list[Cell]:
        Path(os.environ["PLANTED_FILE"]).read_bytes()
        return super().ask()


class HoldsGenerator(Random):
    """Draws from a Python generator, which cannot be pickled."""

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        super().__init__(space, rng)
        self.stream: Iterator[Cell] = (space.sample(rng) for _ in itertools.count())

    def ask(self) -> list[Cell]:
        return [next(self.stream)]


class Forgets(Random):
    """A copy starts with another generator."""

    def __getstate__(self) -> dict[str, object]:
        return {"space": self.space, "rng": np.random.default_rng(99)}


class Elsewhere(Random):
    """Its memory is the module's: a copy in the same process has it, one in another process does not."""

    memory: dict[int, int] = {}  # noqa: RUF012 - planted

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        super().__init__(space, rng)
        self.place = len(self.memory)
        self.memory[self.place] = 0

    def ask(self) -> list[Cell]:
        self.memory[self.place] = self.memory.get(self.place, 0) + 1
        return [NB201()[self.memory[self.place]]]


class MinimisesHalf(Random):
    """Can be asked to minimise costs, and cannot be told them."""

    def minimise(self, costs: int) -> None:
        """Ignore how many."""


class TakesOneCost(MinimisesHalf):
    """Fails where there are two costs."""

    def tell_costs(self, cell: Cell, accuracy: float, costs: tuple[float, ...]) -> None:
        (_only,) = costs


class DrawsByCosts(MinimisesHalf):
    """Draws with a new generator wherever costs are told."""

    def tell_costs(self, cell: Cell, accuracy: float, costs: tuple[float, ...]) -> None:
        self.rng = np.random.default_rng()


# --- no searcher: a task of an engine


def square_or_die(task: tuple[int, str, bool]) -> int:
    """The square of a number; the process of number 3 ends, the first time or always."""
    number, folder, always = task
    mark = Path(folder) / str(number)
    with mark.open("a") as file:
        file.write("x")
    if number == 3 and (always or len(mark.read_text()) == 1):
        os._exit(9)
    return number**2
