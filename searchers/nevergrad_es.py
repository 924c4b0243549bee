"""Discrete evolution strategies of Nevergrad (Rapin and Teytaud, 2018), through its ask-and-tell interface."""

import random
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar, get_args

import numpy as np

from nasgauge.spaces.errors import missing
from nasgauge.spaces.nb201 import Space

C = TypeVar("C")

Strategy = Literal["PortfolioDiscreteOnePlusOne", "DiscreteOnePlusOne"]
_STRATEGIES: Final[tuple[str, ...]] = get_args(Strategy)


class Nevergrad(Generic[C]):
    """A (1+1) evolution strategy with one unordered parameter for each decision of the space.

    Nevergrad begins with the option in the middle of each decision, so the first cell is the same for every seed.

    At Nevergrad's defaults.

    Parameters
    ----------
    strategy
        Nevergrad's name of it; the default, with mutation rates drawn anew at each step, is the one that its
        documentation advises for discrete variables.

    Raises MissingExtra if Nevergrad is not installed, ValueError for another strategy.
    """

    packages: ClassVar = ("nevergrad",)

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        strategy: Strategy = "PortfolioDiscreteOnePlusOne",
    ) -> None:
        if find_spec("nevergrad") is None:
            raise missing("nevergrad")
        if strategy not in _STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(_STRATEGIES)}, not {strategy!r}")
        self.space = space
        self.strategy = strategy
        self._seed = int(rng.integers(1 << 31))
        self._optimizer: Any = None
        self._open: deque[Any] = deque()  # asked for, not evaluated yet

    def ask(self) -> list[C]:
        """The next cell that the strategy suggests."""
        if self._optimizer is None:
            with _global_generators_restored():
                self._optimizer = self._new()
        suggestion = self._optimizer.ask()
        self._open.append(suggestion)
        return [self.space.decide(tuple(suggestion.value))]

    def _new(self) -> Any:
        import nevergrad

        parameters = nevergrad.p.Tuple(
            *(nevergrad.p.TransitionChoice(range(options)) for options in self.space.decisions)
        )
        parameters.random_state = np.random.RandomState(self._seed)
        return nevergrad.optimizers.registry[self.strategy](parameters)

    def tell(self, cell: C, accuracy: float) -> None:  # noqa: ARG002 - the suggestions are kept in their order
        """Report the accuracy of the oldest open suggestion."""
        if self._optimizer is not None and self._open:
            self._optimizer.tell(self._open.popleft(), -accuracy)


@contextmanager
def _global_generators_restored() -> Iterator[None]:
    """Nevergrad draws from the global generators when it is imported and when parameters are made."""
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002 - only kept
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)  # noqa: NPY002 - only put back
