"""Small neural networks as surrogates, alone and in ensembles, trained with Adam (Liu et al., 2018: PNAS).

Everything is NumPy in single precision on one thread, whatever the number of cores: products this small gain
nothing from more, and the result does not depend on it.

Shapes: M members, N cells, B blocks, S slots (tokens of a block).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.searchers.surrogates.networks import Floats, Network, Perceptron, Recurrent, Tokens, sigmoid
from nasgauge.searchers.threads import products_on_one_thread
from nasgauge.spaces.nb201 import Layout

Array = NDArray[np.float64]

_CHUNK: Final = 128
"""Cells that are scored at once: what the members make of so many stays in the processor's cache."""


class NeuralSurrogate:
    """M networks with a sigmoid at the end, trained with Adam on the absolute error.

    With several members each leaves out another 1/M of the data (the paper's five, each on 4/5). The last
    bias is initialised to the mean of the data (the paper's 1.8 is the inverse sigmoid of 0.858, the mean of
    its one-block cells). Each step draws `batch` cells for each member, with replacement. The learning rate
    follows half a cosine to zero, or stays as it is with `falling=False`. The number of steps and the size of
    a batch are not known of the paper.
    """

    def __init__(
        self,
        seed: int,
        layout: Layout,
        network: Callable[[Layout, int, np.random.Generator], Network],
        *,
        members: int = 1,
        steps: int = 60,
        batch: int = 20,
        learning_rate: float = 0.01,
        falling: bool = True,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.layout = layout
        self.network = network
        self.members_ = members
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.falling = falling

    def fit(self, X: Array, y: Array) -> "NeuralSurrogate":
        """Train new networks; X is (N, B * S) tokens, y (N,) in percent."""
        target_N = (y / 100).astype(np.float32)
        with products_on_one_thread():
            self._net = self.network(self.layout, self.members_, self.rng)
            mean = min(max(float(target_N.mean()), 1e-3), 1 - 1e-3)
            self._net.weights["last bias"][...] = math.log(mean / (1 - mean))
            self._train(self._net.encode(self._tokens(X)), target_N)
        return self

    def predict(self, X: Array) -> Array:
        """The members' mean, (N,) in percent."""
        mean: Array = self.members(X).mean(0)
        return mean

    def members(self, X: Array) -> Array:
        """What each member predicts, (M, N) in percent."""
        tokens = self._tokens(X)
        outputs_MN = np.empty((self.members_, len(tokens)), dtype=np.float32)
        with products_on_one_thread():
            for start in range(0, len(tokens), _CHUNK):
                chunk = slice(start, start + _CHUNK)
                outputs_MN[:, chunk] = self._net.forward(self._net.encode(tokens[chunk]))
        return 100 * sigmoid(outputs_MN).astype(np.float64)

    def _tokens(self, X: Array) -> Tokens:
        return np.asarray(X, dtype=np.intp).reshape(-1, self.layout.blocks, self.layout.slots)

    def _train(self, encoded: NDArray[Any], target_N: Floats) -> None:
        cells, net = len(target_N), self._net
        batch = min(cells, self.batch)
        folds = _all_but_one_part(self.rng.permutation(cells), self.members_)
        drawn = np.stack([self.rng.choice(fold, (self.steps, batch)) for fold in folds], axis=1)
        adam = Adam(net.weights.vector, net.gradients.vector)
        for step, cells_MN in enumerate(drawn):
            share = sigmoid(net.forward(encoded[cells_MN]))
            net.backward(np.sign(share - target_N[cells_MN]) * share * (1 - share) / batch)
            done = step / self.steps if self.falling else 0.0
            adam.step(self.learning_rate * (1 + math.cos(math.pi * done)) / 2)


class Adam:
    """The optimiser of Kingma and Ba (2015) with its usual constants, in place.

    The running sums lack the paper's factors 1 - decay, which are part of the step instead: fewer passes over the weights.
    """

    DECAYS: Final = (0.9, 0.999)
    EPSILON: Final = 1e-8

    def __init__(self, weights: Floats, gradients: Floats) -> None:
        self.weights = weights
        self.gradients = gradients
        self._steps = 0
        self._sum = np.zeros_like(weights)
        self._squares = np.zeros_like(weights)
        self._scratch = np.empty_like(weights)

    def step(self, rate: float) -> None:
        """Move the weights by the gradients as they are now."""
        self._steps += 1
        of_sum, of_squares = ((1 - decay) / (1 - decay**self._steps) for decay in self.DECAYS)
        scratch = self._scratch
        self._sum *= np.float32(self.DECAYS[0])
        self._sum += self.gradients
        self._squares *= np.float32(self.DECAYS[1])
        np.multiply(self.gradients, self.gradients, out=scratch)
        self._squares += scratch
        np.sqrt(self._squares, out=scratch)
        scratch += np.float32(self.EPSILON / math.sqrt(of_squares))
        np.divide(self._sum, scratch, out=scratch)
        scratch *= np.float32(rate * of_sum / math.sqrt(of_squares))
        self.weights -= scratch


def mlp(seed: int, layout: Layout, **training: Any) -> NeuralSurrogate:
    """One MLP on all the data; `training` are options of `NeuralSurrogate`."""
    return NeuralSurrogate(seed, layout, Perceptron, **training)


def lstm(seed: int, layout: Layout, **training: Any) -> NeuralSurrogate:
    """One LSTM on all the data, likewise."""
    return NeuralSurrogate(seed, layout, Recurrent, **training)


mlp_ensemble = partial(mlp, members=5)
"""Five MLPs, each on another 4/5 of the data: the predictor of the paper's search."""

lstm_ensemble = partial(lstm, members=5)
"""Five LSTMs, each on another 4/5 of the data."""


def _all_but_one_part(order: NDArray[np.intp], members: int) -> list[NDArray[np.intp]]:
    """For each member all the data less another part; all of it for one member, or for less data than members."""
    if not 1 < members <= len(order):
        return [order] * members
    return [np.delete(order, slice(member, None, members)) for member in range(members)]
