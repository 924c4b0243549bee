"""REINFORCE: a policy with independent logits for each decision (Williams, 1992).

The controller is that of the baseline of NAS-Bench-201 (Dong and Yang, 2020, appendix):
logits drawn near zero, Adam, and an exponential moving average as the baseline of the reward.
"""

import math
from collections import deque
from functools import partial
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.nb201 import Space

C = TypeVar("C")

Array = NDArray[np.float64]
Choices = NDArray[np.intp]

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8  # Adam's own defaults (Kingma and Ba, 2015)


class Reinforce(Generic[C]):
    """Policy gradient: raise the probability of a cell by its advantage over the moving average of accuracies.

    Parameters
    ----------
    learning_rate
        Of Adam. 0.1 was chosen on CIFAR-10's validation accuracy alone (`benchmarks/tuning.py`). The published
        command of NAS-Bench-201 has 0.5 (`REINFORCE_PUBLISHED`), NATS-Bench's script 0.01.
    momentum
        Of the moving average of accuracies that an accuracy is compared with.
    initial_scale
        Standard deviation of the logits at the start.

    Raises ValueError for a learning rate that is not positive, or a momentum outside [0, 1).
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        initial_scale: float = 1e-3,
    ) -> None:
        if learning_rate <= 0 or not 0 <= momentum < 1:
            raise ValueError(
                "learning_rate must be positive and momentum in [0, 1), not "
                f"learning_rate={learning_rate:g} and momentum={momentum:g}"
            )
        self.space = space
        self.rng = rng
        self.learning_rate = learning_rate
        self.momentum = momentum
        sizes = np.array(space.decisions)
        # decisions (D) by options (O); an option that a decision does not have is never drawn
        self._logits_DO = initial_scale * rng.standard_normal((len(sizes), sizes.max()))
        self._logits_DO[np.arange(sizes.max()) >= sizes[:, None]] = -np.inf
        self._decisions = np.arange(len(sizes))
        self._mean_DO = np.zeros_like(self._logits_DO)
        self._square_DO = np.zeros_like(self._logits_DO)
        self._updates = 0
        self._reward_sum = self._reward_weight = 0.0
        self._open = deque[tuple[Array, Choices]]()  # asked for, not told yet: the policy, and what was drawn

    def ask(self) -> list[C]:
        """One cell drawn from the policy."""
        weights_DO = np.exp(self._logits_DO - self._logits_DO.max(1, keepdims=True))
        policy_DO = weights_DO / weights_DO.sum(1, keepdims=True)
        draws_D = self.rng.random(len(self._decisions))
        drawn_D = (policy_DO.cumsum(1) < draws_D[:, None]).sum(1)
        choices_D = np.minimum(drawn_D, np.array(self.space.decisions) - 1)
        self._open.append((policy_DO, choices_D))
        return [self.space.decide(tuple(choices_D.tolist()))]

    def tell(self, cell: C, accuracy: float) -> None:  # noqa: ARG002 - the choices that made the cell are kept
        """One step of Adam on the log-probability of the cell, weighted by its advantage.

        A cell that is told before the first `ask` moves the baseline of the advantage only; one that failed to train
        (NaN) changes nothing.
        """
        policy_DO, choices_D = self._open.popleft() if self._open else (None, None)
        if not math.isfinite(accuracy):
            return
        keep = self.momentum
        self._reward_sum = keep * self._reward_sum + (1 - keep) * accuracy
        self._reward_weight = keep * self._reward_weight + (1 - keep)
        if policy_DO is None:
            return
        advantage = accuracy - self._reward_sum / self._reward_weight
        gradient_DO = policy_DO.copy()
        gradient_DO[self._decisions, choices_D] -= 1
        gradient_DO *= advantage
        self._updates += 1
        self._mean_DO += (1 - _BETA_1) * (gradient_DO - self._mean_DO)
        self._square_DO += (1 - _BETA_2) * (gradient_DO**2 - self._square_DO)
        mean_DO = self._mean_DO / (1 - _BETA_1**self._updates)
        root_DO = np.sqrt(self._square_DO / (1 - _BETA_2**self._updates))
        self._logits_DO -= self.learning_rate * mean_DO / (root_DO + _EPSILON)


REINFORCE_PUBLISHED = partial(Reinforce, learning_rate=0.5)
"""REINFORCE with the settings of the published command of NAS-Bench-201 (Dong and Yang, 2020)."""
