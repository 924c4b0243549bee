"""A searcher under test: every call is checked, and what breaks a law is reported at once."""

import os
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy

from nasgauge.harness.search.specs import CellSearcher, Spec
from nasgauge.searchers.aims import CostSearcher
from nasgauge.spaces.cells import N_CELLS, Cell
from nasgauge.spaces.fidelities import EVERY_EPOCH, At
from nasgauge.spaces.nb201 import NB201

SEED: Final = 0
DATASET: Final = "cifar10"
"""The dataset of the figures of objectives and constraints."""
_DATA: Final = frozenset(
    {
        ".npz",
        ".npy",
        ".anb",
        ".pth",
        ".pt",
        ".pkl",
        ".pickle",
        ".p",
        ".pd",
        ".csv",
        ".tsv",
        ".parquet",
        ".arrow",
        ".feather",
        ".h5",
        ".hdf5",
        ".db",
        ".sqlite",
        ".safetensors",
        ".zip",
        ".gz",
        ".bz2",
        ".pbz2",
        ".xz",
        ".zst",
    }
)  # endings of files that can hold a benchmark's figures
_CONSTANTS: Final = Path(scipy.__file__).parent
"""Where SciPy reads the direction numbers of Sobol's sequence from, a .npz."""


class Broken(Exception):
    """A law that was broken, and how; caught by the kit, never shown as an error."""

    def __init__(self, law: str, evidence: str) -> None:
        super().__init__(f"{law}: {evidence}")
        self.law = law
        self.evidence = evidence


@dataclass
class Trial:
    """A searcher under test: how to make it, and what is watched while its code runs."""

    target: str
    queries: int
    watching: str = field(default="", init=False)
    """What the searcher is doing; empty while it is not running."""
    read: list[str] = field(default_factory=list, init=False)
    """Files and sockets that it opened, and when."""
    fidelities: Sequence[int] = field(default=EVERY_EPOCH, init=False)
    """Epochs that a multi-fidelity searcher may ask for."""

    def load(self) -> None:
        """Import the searcher and look at its options.

        Raises UnknownSearcher, InvalidOption.
        """
        self.watching = "importing it"
        try:
            self.spec = Spec.of(self.target)
        finally:
            self.watching = ""
        if self.spec.aims:  # the figures of objectives are read once in a process, and not by the searcher
            found = len(self.read)
            self.make()
            del self.read[found:]

    def make(self) -> CellSearcher:
        """A new searcher of the seed of all trials."""
        with self.watched("the constructor"):
            return self.spec.make(NB201(), np.random.default_rng(SEED), self.fidelities, dataset=DATASET)

    @contextmanager
    def watched(self, doing: str) -> Iterator[None]:
        """Run the searcher's code: what it does to global generators is seen, what it raises is a broken law."""
        before = _global_states()
        self.watching = doing
        try:
            yield
        except Exception as error:
            raise Broken("runs", f"{doing} raised {type(error).__name__}: {error}") from error
        finally:
            self.watching = ""
        after = _global_states()
        moved = [name for name in before if before[name] != after.get(name)]
        if moved:
            raise Broken(
                "no global generator", f"{doing} moved the global generator of {' and '.join(moved)}"
            )

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit hook that notes where the searcher reads."""
        if not self.watching:
            return
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            path = Path(os.fsdecode(arguments[0]))
            code = str(path) in sys.path  # a .zip that modules are imported from
            if path.suffix.lower() in _DATA and not code and _CONSTANTS not in path.parents:
                self.read.append(f"{self.watching} opened {path}")
        elif event == "socket.connect":
            self.read.append(f"{self.watching} connected to {arguments[1]}")


class Watched:
    """A searcher whose every call is checked."""

    def __init__(self, trial: Trial, searcher: CellSearcher) -> None:
        self.trial = trial
        self.searcher = searcher
        self.asks = self.tells = 0
        self.told: set[Cell] = set()
        if hasattr(searcher, "recommend"):  # the runner asks for answers where there are any
            self.recommend = self._recommend
        if isinstance(searcher, CostSearcher):
            self.minimise = self._minimise
            self.tell_costs = self._tell_costs

    def ask(self) -> Sequence[Cell]:
        """What the searcher asks for, if it is valid.

        Raises Broken.
        """
        self.asks += 1
        with self.trial.watched(f"ask number {self.asks}"):
            batch = self.searcher.ask()
        returned: object = batch
        if not isinstance(returned, Sequence) or isinstance(returned, str | bytes):
            raise Broken(
                "valid cells",
                f"ask number {self.asks} returned {_short(batch)}; return a list or tuple, empty at the end",
            )
        if len(batch) > N_CELLS:
            raise Broken(
                "budget",
                f"ask number {self.asks} returned {len(batch)} cells at once, the space has {N_CELLS}",
            )
        for place, cell in enumerate(batch):
            self._check(cell, place)
        return batch

    def _check(self, asked: object, place: int) -> None:
        where = f"ask number {self.asks} returned {_short(asked)} at place {place}"
        cell = asked
        if self.trial.spec.asks_epochs:
            if not isinstance(asked, At):
                raise Broken("fidelities", f"{where}, not At(cell, epochs)")
            if asked.epochs not in self.trial.fidelities:
                raise Broken("fidelities", f"{where}, epochs that it was not given")
            cell = asked.cell
        if not _valid(cell):
            raise Broken("valid cells", f"{where}, no cell")

    def tell(self, cell: Any, accuracy: float) -> None:
        """Pass a result on.

        Raises Broken.
        """
        self.tells += 1
        self.told.add(cell.cell if isinstance(cell, At) else cell)
        with self.trial.watched(f"tell number {self.tells}"):
            self.searcher.tell(cell, accuracy)

    def _minimise(self, costs: int) -> None:
        with self.trial.watched("minimise"):
            getattr(self.searcher, "minimise")(costs)  # noqa: B009 - as `_recommend`

    def _tell_costs(self, cell: Cell, accuracy: float, costs: tuple[float, ...]) -> None:
        self.tells += 1
        self.told.add(cell)
        with self.trial.watched(f"tell_costs number {self.tells}"):
            getattr(self.searcher, "tell_costs")(cell, accuracy, costs)  # noqa: B009 - as `_recommend`

    def _recommend(self) -> Cell | None:
        with self.trial.watched(f"the answer after tell number {self.tells}"):
            answer: Cell | None = getattr(self.searcher, "recommend")()  # noqa: B009 - the protocol has none
        if answer is not None and answer not in self.told:
            raise Broken(
                "valid cells",
                f"the answer after tell number {self.tells} is {_short(answer)}, which was never evaluated",
            )
        return answer


def _valid(cell: object) -> bool:
    if not isinstance(cell, Cell):
        return False
    try:
        return NB201()[cell.rank] == cell
    except (LookupError, TypeError, AttributeError):
        return False


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."


def _global_states() -> dict[str, object]:
    """What the global generators would draw next."""
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002 - watched, not used
    key = numpy["state"]
    states: dict[str, object] = {
        "random": random.getstate(),
        "numpy": (key["key"].tobytes(), key["pos"], numpy["has_gauss"], numpy["gauss"]),
    }
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states


def compare(law: str, expected: Sequence[object], found: Sequence[object], how: str) -> None:
    """Raises Broken with the first difference of two searches."""
    for place, (a, b) in enumerate(zip(expected, found, strict=False), 1):
        if a != b:
            raise Broken(law, f"query {place} was {a}, and {how} it is {b}")
    if len(expected) != len(found):
        raise Broken(law, f"the search had {len(expected)} queries, and {how} it has {len(found)}")
