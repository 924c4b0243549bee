"""Optuna's samplers through ask and tell: TPE (Bergstra et al., 2011), NSGA-II (Deb et al., 2002), a Gaussian process.

Each decision of the space is one categorical parameter.
"""

import warnings
from abc import ABC, abstractmethod
from collections import deque
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from nasgauge.searchers.threads import torch_threads
from nasgauge.spaces.errors import missing
from nasgauge.spaces.nb201 import Space

if TYPE_CHECKING:
    import optuna

C = TypeVar("C")


class _Sampled(ABC, Generic[C]):
    """A searcher whose cells a sampler of Optuna suggests."""

    packages: ClassVar[tuple[str, ...]] = ("optuna",)

    def __init__(self, space: Space[C], rng: np.random.Generator) -> None:
        for package in self.packages:
            if find_spec(package) is None:
                raise missing(package)
        self.space = space
        self._seed = int(rng.integers(1 << 31))
        self._study: optuna.Study | None = None
        self._trials: deque[optuna.Trial] = deque()  # asked for, not evaluated yet
        self._costs = 0

    @abstractmethod
    def _sampler(self) -> "optuna.samplers.BaseSampler":
        """The sampler, with `_seed`."""

    def ask(self) -> list[C]:
        """The next cell that Optuna suggests."""
        import optuna

        if self._study is None:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            most, least = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
            directions = [most, *[least] * self._costs]
            self._study = optuna.create_study(directions=directions, sampler=self._sampler())
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


class _Started(_Sampled[C]):
    """One that begins with `startup` random cells."""

    def __init__(self, space: Space[C], rng: np.random.Generator, *, startup: int = 10) -> None:
        if startup < 1:
            raise ValueError(f"startup must be at least 1, not {startup}")
        super().__init__(space, rng)
        self.startup = startup


class TPE(_Started[C]):
    """The tree-structured Parzen estimator, at Optuna's defaults.

    Parameters
    ----------
    startup
        Random cells before the estimator chooses any.

    Raises MissingExtra if Optuna is not installed, ValueError for `startup` below 1.
    """

    def _sampler(self) -> "optuna.samplers.BaseSampler":
        import optuna

        return optuna.samplers.TPESampler(n_startup_trials=self.startup, seed=self._seed)


class GP(_Started[C]):
    """A Gaussian process with log expected improvement, at Optuna's defaults: a 0/1 distance for each decision.

    Parameters
    ----------
    startup
        Random cells before the process chooses any.

    Raises MissingExtra if Optuna or PyTorch, which Optuna fits the process with, is not installed, ValueError for
    `startup` below 1.
    """

    packages = ("optuna", "torch")

    def ask(self) -> list[C]:
        """The next cell, computed with one thread: the same on any number of cores."""
        with torch_threads(1), threadpool_limits(limits=1):
            return super().ask()

    def _sampler(self) -> "optuna.samplers.BaseSampler":
        import optuna

        with warnings.catch_warnings():  # the class is marked experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.GPSampler(n_startup_trials=self.startup, seed=self._seed)


class NSGA2(_Sampled[C]):
    """NSGA-II: a genetic algorithm with uniform crossover, at Optuna's defaults; on accuracy, and costs if it is asked to.

    Parameters
    ----------
    population
        Cells of a generation; the first generation is random.

    Raises MissingExtra if Optuna is not installed, ValueError for `population` below 2.
    """

    def __init__(self, space: Space[C], rng: np.random.Generator, *, population: int = 50) -> None:
        if population < 2:
            raise ValueError(f"population must be at least 2, not {population}")
        super().__init__(space, rng)
        self.population = population

    def _sampler(self) -> "optuna.samplers.BaseSampler":
        import optuna

        return optuna.samplers.NSGAIISampler(population_size=self.population, seed=self._seed)

    def minimise(self, costs: int) -> None:
        """Minimise so many costs beside accuracy."""
        self._costs = costs

    def tell_costs(self, cell: C, accuracy: float, costs: tuple[float, ...]) -> None:  # noqa: ARG002 - as `tell`
        """Report the figures of the oldest open suggestion."""
        if self._study is not None and self._trials:
            self._study.tell(self._trials.popleft(), [accuracy, *costs])
