"""Optuna's tree-structured Parzen estimator (Bergstra et al., 2011), through its ask-and-tell interface."""

from collections import deque
from importlib.util import find_spec
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from nasgauge.spaces.errors import missing
from nasgauge.spaces.nb201 import Space

if TYPE_CHECKING:
    import optuna

C = TypeVar("C")


class TPE(Generic[C]):
    """TPE with one categorical parameter for each decision of the space, and Optuna's defaults otherwise.

    Parameters
    ----------
    startup
        Random cells before the estimator chooses any.

    Raises MissingExtra if Optuna is not installed, ValueError for `startup` below 1.
    """

    def __init__(self, space: Space[C], rng: np.random.Generator, *, startup: int = 10) -> None:
        if find_spec("optuna") is None:
            raise missing("optuna")
        if startup < 1:
            raise ValueError(f"startup must be at least 1, not {startup}")
        self.space = space
        self.startup = startup
        self._seed = int(rng.integers(1 << 31))
        self._study: optuna.Study | None = None
        self._trials: deque[optuna.Trial] = deque()  # asked for, not evaluated yet

    def ask(self) -> list[C]:
        """The next cell that Optuna suggests."""
        import optuna

        if self._study is None:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            sampler = optuna.samplers.TPESampler(n_startup_trials=self.startup, seed=self._seed)
            self._study = optuna.create_study(direction="maximize", sampler=sampler)
        trial = self._study.ask()
        self._trials.append(trial)
        choices = [
            trial.suggest_categorical(str(decision), range(options))
            for decision, options in enumerate(self.space.decisions)
        ]
        return [self.space.decide(tuple(choices))]

    def tell(self, cell: C, accuracy: float) -> None:  # noqa: ARG002 - the trials are kept in their order
        """Report the accuracy of the oldest open suggestion."""
        if self._study is not None and self._trials:
            self._study.tell(self._trials.popleft(), accuracy)
