"""The graph predictor of NPENAS-NP in NumPy: a graph isomorphism network (Wei et al., 2020; Xu et al., 2019: GIN).

Shapes: N cells, V nodes of a cell, F = N V nodes, H hidden units. `forward` keeps what `backward` needs.
"""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nasgauge.searchers.surrogates.networks import Floats, Weights, sigmoid
from nasgauge.searchers.surrogates.neural import Array
from nasgauge.searchers.threads import products_on_one_thread
from nasgauge.spaces.nb201 import Layout

HIDDEN: Final = 32
LAST: Final = 16
LAYERS: Final = 3
DROPOUT: Final = 0.1
DECAY: Final = 1e-4
"""Weight decay, of everything but biases."""
_EPSILON: Final = 1e-5
_MOMENTUM: Final = 0.1
_CHUNK: Final = 64


class GIN:
    """Three graph convolutions with batch norm, the mean over nodes, two layers and a sigmoid, as in the authors' code.

    A convolution adds to a node those that lead into it, and applies a perceptron of two layers to the sum.
    """

    def __init__(self, labels: int, rng: np.random.Generator) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        bounds: dict[str, float] = {}
        for layer in range(LAYERS):
            width = HIDDEN if layer else labels
            for name, size in (("first", width), ("second", HIDDEN)):
                shapes |= {f"{name} {layer}": (size, HIDDEN), f"{name} bias {layer}": (HIDDEN,)}
                bounds |= dict.fromkeys((f"{name} {layer}", f"{name} bias {layer}"), 1 / math.sqrt(size))
            shapes |= {f"scale {layer}": (HIDDEN,), f"bias {layer}": (HIDDEN,)}
        shapes |= {"before": (HIDDEN, LAST), "before bias": (LAST,), "last": (LAST, 1), "last bias": (1,)}
        bounds |= {"before": math.sqrt(3 / HIDDEN), "last": math.sqrt(3 / LAST)}
        self.weights, self.gradients = Weights(shapes), Weights(shapes)
        for name, bound in bounds.items():
            self.weights[name][...] = rng.uniform(-bound, bound, shapes[name])
        for layer in range(LAYERS):
            self.weights[f"scale {layer}"][...] = 1
        self.bias = np.concatenate(
            [np.full(math.prod(shape), "bias" in name) for name, shape in shapes.items()]
        )
        """Which numbers of `weights.vector` are biases."""
        self._rng = rng
        self._mean = np.zeros((LAYERS, HIDDEN), dtype=np.float32)
        self._variance = np.ones((LAYERS, HIDDEN), dtype=np.float32)

    def forward(self, labels_NVL: Floats, sums_NVV: Floats, *, training: bool) -> Floats:
        """Outputs before the sigmoid, (N,). `sums`: for each node 1 for itself and for those that lead into it."""
        w, kept = self.weights, []
        cells, nodes, _ = labels_NVL.shape
        hidden = labels_NVL
        for layer in range(LAYERS):
            summed = np.matmul(sums_NVV, hidden).reshape(cells * nodes, -1)
            one = summed @ w[f"first {layer}"]
            one += w[f"first bias {layer}"]
            np.maximum(one, 0, out=one)
            two = one @ w[f"second {layer}"]
            two += w[f"second bias {layer}"]
            np.maximum(two, 0, out=two)
            if training:
                mean = _mean(two)
                centred = two - mean
                variance = _mean(centred * centred)
                count = len(two)
                self._mean[layer] += np.float32(_MOMENTUM) * (mean - self._mean[layer])
                unbiased = variance * np.float32(count / max(count - 1, 1))
                self._variance[layer] += np.float32(_MOMENTUM) * (unbiased - self._variance[layer])
            else:
                centred, variance = two - self._mean[layer], self._variance[layer]
            inverse = 1 / np.sqrt(variance + np.float32(_EPSILON))
            centred *= inverse
            kept.append((summed, one, two, centred, inverse))
            hidden = (centred * w[f"scale {layer}"] + w[f"bias {layer}"]).reshape(cells, nodes, HIDDEN)
        pooled = np.add.reduce(hidden, axis=1) * np.float32(1 / nodes)
        before = pooled @ w["before"]
        before += w["before bias"]
        np.maximum(before, 0, out=before)
        if training:
            dropped = (self._rng.random(before.shape, dtype=np.float32) >= DROPOUT) * np.float32(
                1 / (1 - DROPOUT)
            )
            self._kept = sums_NVV, kept, pooled, before, dropped
            before = before * dropped
        outputs: Floats = (before @ w["last"])[:, 0] + w["last bias"]
        return outputs

    def backward(self, slopes_N: Floats) -> None:
        """Fill `gradients`, given the derivative of the loss by the last outputs, of a forward pass in training."""
        w, g = self.weights, self.gradients
        sums_NVV, kept, pooled, before, dropped = self._kept
        cells, nodes, _ = sums_NVV.shape
        slopes = slopes_N[:, None]
        np.matmul((before * dropped).T, slopes, out=g["last"])
        g["last bias"][...] = slopes_N.sum()
        slopes = slopes * w["last"].T
        slopes *= dropped
        slopes *= before > 0
        np.matmul(pooled.T, slopes, out=g["before"])
        np.add.reduce(slopes, axis=0, out=g["before bias"])
        to_pooled = (slopes @ w["before"].T) * np.float32(1 / nodes)
        slopes = np.repeat(to_pooled, nodes, axis=0)
        for layer in reversed(range(LAYERS)):
            summed, one, two, centred, inverse = kept[layer]
            np.add.reduce(slopes, axis=0, out=g[f"bias {layer}"])
            np.add.reduce(slopes * centred, axis=0, out=g[f"scale {layer}"])
            share = np.float32(1 / len(slopes))
            slopes = slopes - g[f"bias {layer}"] * share
            slopes -= centred * (g[f"scale {layer}"] * share)
            slopes *= w[f"scale {layer}"] * inverse
            slopes *= two > 0
            np.matmul(one.T, slopes, out=g[f"second {layer}"])
            np.add.reduce(slopes, axis=0, out=g[f"second bias {layer}"])
            slopes = slopes @ w[f"second {layer}"].T
            slopes *= one > 0
            np.matmul(summed.T, slopes, out=g[f"first {layer}"])
            np.add.reduce(slopes, axis=0, out=g[f"first bias {layer}"])
            if layer:
                back = (slopes @ w[f"first {layer}"].T).reshape(cells, nodes, HIDDEN)
                slopes = np.matmul(np.swapaxes(sums_NVV, 1, 2), back).reshape(cells * nodes, HIDDEN)


class GraphSurrogate:
    """A GIN, trained anew at each fit with the squared error in points; X is the code `graph` of a space.

    Adam with decay rates 0 and 0.9, a learning rate that falls along half a cosine, twice of it for biases, and
    weight decay: the authors' code, as its configuration for NAS-Bench-201 sets it.
    """

    def __init__(
        self,
        seed: int,
        layout: Layout,
        *,
        epochs: int = 300,
        batch: int = 16,
        learning_rate: float = 0.005,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.layout = layout
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate

    def fit(self, X: Array, y: Array) -> "GraphSurrogate":
        """Train a new network; X is (N, V * (1 + V)), y (N,) in percent."""
        target_N = y.astype(np.float32)
        labels, sums = self._encoded(X)
        with products_on_one_thread():
            net = self._net = GIN(self.layout.vocabulary, self.rng)
            rates = np.where(net.bias, 2.0, 1.0).astype(np.float32)
            adam = _Adam(net.weights.vector, net.gradients.vector, rates)
            decays = np.where(net.bias, 0.0, DECAY).astype(np.float32)
            steps = max(self.epochs * len(target_N) // self.batch, 1)
            done = 0
            for _ in range(self.epochs):
                order = self.rng.permutation(len(target_N))
                for start in range(0, len(order), self.batch):
                    part = order[start : start + self.batch]
                    share = sigmoid(net.forward(labels[part], sums[part], training=True))
                    miss = 100 * share - target_N[part]
                    net.backward(miss * share * (1 - share) * np.float32(200 / len(part)))
                    net.gradients.vector += decays * net.weights.vector
                    done = min(done + 1, steps)
                    adam.step(self.learning_rate * (1 + math.cos(math.pi * done / steps)) / 2)
        return self

    def predict(self, X: Array) -> Array:
        """Accuracies in percent, (N,)."""
        labels, sums = self._encoded(X)
        with products_on_one_thread():
            found = [
                self._net.forward(
                    labels[start : start + _CHUNK], sums[start : start + _CHUNK], training=False
                )
                for start in range(0, len(labels), _CHUNK)
            ]
        return 100 * sigmoid(np.concatenate(found)).astype(np.float64)

    def _encoded(self, X: Array) -> tuple[Floats, Floats]:
        rows: NDArray[Any] = np.asarray(X).reshape(-1, self.layout.blocks, self.layout.slots)
        labels = np.eye(self.layout.vocabulary, dtype=np.float32)[rows[..., 0].astype(np.intp) - 1]
        return labels, (rows[..., 1:] + np.eye(self.layout.blocks)).astype(np.float32)


class _Adam:
    """Adam (Kingma and Ba, 2015) with decay rates 0 and 0.9, and a rate for each weight."""

    def __init__(self, weights: Floats, gradients: Floats, rates: Floats) -> None:
        self.weights, self.gradients, self.rates = weights, gradients, rates
        self._squares = np.zeros_like(weights)
        self._left = 1.0  # 0.9 to the number of steps

    def step(self, rate: float) -> None:
        """Move the weights by the gradients as they are now."""
        self._left *= 0.9
        self._squares *= np.float32(0.9)
        self._squares += np.float32(0.1) * self.gradients * self.gradients
        spread = np.sqrt(self._squares * np.float32(1 / (1 - self._left)))
        spread += np.float32(1e-8)
        self.weights -= np.float32(rate) * self.rates * self.gradients / spread


def _mean(values_FH: Floats) -> Floats:
    mean: Floats = np.add.reduce(values_FH, axis=0) * np.float32(1 / len(values_FH))
    return mean
