"""The two predictors of PNAS in NumPy: an MLP and an LSTM over tokens (Liu et al., 2018, section 4.2).

All members of an ensemble are computed at once: every weight has a leading axis of members, and a layer is one
batched product. `forward` keeps what `backward` needs; `backward` fills `gradients`.

Shapes: M members, N cells, B blocks, S slots (tokens of a block), V vocabulary, E embedding, H hidden.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.nb201 import Layout

Floats = NDArray[np.float32]
Tokens = NDArray[np.intp]

EMBEDDING: Final = 100
"""Numbers that stand for a token (recalled from the paper, not checked against it)."""
HIDDEN: Final = 100
"""Units of a hidden layer and of the LSTM's state (likewise)."""
HIDDEN_MERGED: Final = 64
"""Units of a hidden layer of an MLP without an embedding of its own."""
_SPREAD: Final = 0.1  # embeddings are drawn uniformly from ±0.1


class Weights(dict[str, Floats]):
    """Named arrays that lie one after the other in `vector`."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
        self.vector: Floats = np.zeros(ends[-1], dtype=np.float32)
        parts = np.split(self.vector, ends[:-1])
        super().__init__({name: part.reshape(shapes[name]) for name, part in zip(shapes, parts, strict=True)})


class Network(Protocol):
    """A network that an optimiser can train."""

    weights: Weights
    """Among them `last bias`, (M, 1, 1)."""
    gradients: Weights
    """Of the same shapes."""

    def encode(self, tokens_NBS: Tokens) -> NDArray[Any]:
        """The inputs of cells, (N, ...)."""
        ...

    def forward(self, inputs: NDArray[Any], /) -> Floats:
        """Outputs before the sigmoid, (M, N), of (N, ...) inputs for all members or (M, N, ...) for each."""
        ...

    def backward(self, slopes_MN: Floats) -> None:
        """Fill `gradients`, given the derivative of the loss by the last outputs."""
        ...


class Perceptron:
    """Embed the tokens, join those of a block, average over blocks, two hidden layers.

    Computed from how often each token occurs in each slot, because embedding, average and first layer are
    together a linear map of these counts. Where a block is a single token, that map is one table, and it is
    learned as such: without an embedding of its own, and from the sum over blocks, so that their number is
    not lost. Where a block has several tokens, they share an embedding, and the average is over the blocks
    that a cell has, as in the paper.
    """

    def __init__(self, layout: Layout, members: int, rng: np.random.Generator) -> None:
        self.layout = layout
        self.embedded = layout.slots > 1
        slots, vocabulary = layout.slots, layout.vocabulary
        hidden = HIDDEN if self.embedded else HIDDEN_MERGED
        shapes = {
            "table": (members, 1, vocabulary, EMBEDDING if self.embedded else 0),
            "first": (members, slots, EMBEDDING if self.embedded else vocabulary, hidden),
            "first bias": (members, 1, hidden),
            "second": (members, hidden, hidden),
            "second bias": (members, 1, hidden),
            "last": (members, hidden, 1),
            "last bias": (members, 1, 1),
        }
        bounds = {
            "table": _SPREAD,
            "first": math.sqrt(6 / (slots * EMBEDDING)) if self.embedded else _SPREAD,
            "second": math.sqrt(6 / hidden),
            "last": 1 / math.sqrt(hidden),
        }
        self.weights, self.gradients = _drawn(shapes, bounds, rng), Weights(shapes)

    def encode(self, tokens_NBS: Tokens) -> Floats:
        """How often each token occurs in each slot, summed or averaged over blocks, (N, S * V)."""
        cells, _, slots = tokens_NBS.shape
        width = self.layout.vocabulary + 1
        places = (np.arange(cells)[:, None, None] * slots + np.arange(slots)) * width + tokens_NBS
        counts = np.bincount(places.ravel(), minlength=cells * slots * width)
        encoded = counts.reshape(cells, slots, width)[..., 1:].reshape(cells, -1).astype(np.float32)
        if self.embedded:
            encoded /= np.maximum(tokens_NBS.any(2).sum(1, keepdims=True), 1)
        return encoded

    def forward(self, inputs: Floats) -> Floats:
        """Outputs before the sigmoid, (M, N)."""
        w = self.weights
        one: Floats = np.matmul(inputs, self._first())
        one += w["first bias"]
        np.maximum(one, 0, out=one)
        two: Floats = np.matmul(one, w["second"])
        two += w["second bias"]
        np.maximum(two, 0, out=two)
        self._kept = inputs, one, two
        outputs: Floats = np.matmul(two, w["last"]) + w["last bias"]
        return outputs[..., 0]

    def backward(self, slopes_MN: Floats) -> None:
        """Fill `gradients`."""
        w, g = self.weights, self.gradients
        inputs, one, two = self._kept
        slopes = slopes_MN[..., None]
        np.matmul(_turned(two), slopes, out=g["last"])
        slopes.sum(1, keepdims=True, out=g["last bias"])
        slopes = slopes * _turned(w["last"])
        slopes *= two > 0
        np.matmul(_turned(one), slopes, out=g["second"])
        slopes.sum(1, keepdims=True, out=g["second bias"])
        slopes = slopes @ _turned(w["second"])
        slopes *= one > 0
        slopes.sum(1, keepdims=True, out=g["first bias"])
        members, slots, _, hidden = g["first"].shape
        by_count = (_turned(inputs) @ slopes).reshape(members, slots, -1, hidden)
        if self.embedded:
            np.matmul(_turned(w["table"]), by_count, out=g["first"])
            (by_count @ _turned(w["first"])).sum(1, keepdims=True, out=g["table"])
        else:
            g["first"][...] = by_count

    def _first(self) -> Floats:
        """The linear map of counts, (M, S * V, H)."""
        table, first = self.weights["table"], self.weights["first"]
        return (table @ first if self.embedded else first).reshape(len(first), -1, first.shape[-1])


class Recurrent:
    """An LSTM over the tokens of all blocks in their order, then one layer on its last state."""

    def __init__(self, layout: Layout, members: int, rng: np.random.Generator) -> None:
        self.tokens = layout.vocabulary + 1
        shapes = {
            "table": (members, self.tokens, EMBEDDING),
            "into": (members, EMBEDDING, 4 * HIDDEN),
            "onward": (members, HIDDEN, 4 * HIDDEN),
            "bias": (members, 1, 4 * HIDDEN),
            "last": (members, HIDDEN, 1),
            "last bias": (members, 1, 1),
        }
        bound = 1 / math.sqrt(HIDDEN)
        bounds = {"table": _SPREAD, "into": bound, "onward": bound, "last": bound}
        self.weights, self.gradients = _drawn(shapes, bounds, rng), Weights(shapes)
        self.weights["bias"][..., HIDDEN : 2 * HIDDEN] = 1  # forget gates begin open

    def encode(self, tokens_NBS: Tokens) -> Tokens:
        """The sequence of tokens, (N, B * S)."""
        return tokens_NBS.reshape(len(tokens_NBS), -1)

    def forward(self, inputs: Tokens) -> Floats:
        """Outputs before the sigmoid, (M, N)."""
        w = self.weights
        added = w["table"] @ w["into"] + w["bias"]  # what each token adds to the gates, (M, V + 1, 4 H)
        members = np.arange(len(added))[:, None]
        state = carry = np.zeros((len(added), inputs.shape[-2], HIDDEN), dtype=np.float32)
        self._kept = []
        for token in np.moveaxis(inputs, -1, 0):
            gates = state @ w["onward"]
            gates += added[members, token]
            new = np.tanh(gates[..., 2 * HIDDEN : 3 * HIDDEN])
            enter, keep, _, leave = np.split(sigmoid(gates), 4, axis=-1)
            carried = keep * carry + enter * new
            shown = np.tanh(carried)
            there = token[..., None] > 0  # an absent token leaves the state as it is
            self._kept.append((token, state, carry, enter, keep, new, leave, shown, there))
            carry = np.where(there, carried, carry)
            state = np.where(there, leave * shown, state)
        self._state = state
        outputs: Floats = np.matmul(state, w["last"]) + w["last bias"]
        return outputs[..., 0]

    def backward(self, slopes_MN: Floats) -> None:
        """Fill `gradients`."""
        w, g = self.weights, self.gradients
        slopes = slopes_MN[..., None]
        np.matmul(_turned(self._state), slopes, out=g["last"])
        slopes.sum(1, keepdims=True, out=g["last bias"])
        to_state = slopes * _turned(w["last"])
        to_carry = np.zeros_like(to_state)
        to_added = np.zeros((*g["table"].shape[:2], 4 * HIDDEN), dtype=np.float32)
        g["onward"][...] = 0
        one_hot = np.eye(self.tokens, dtype=np.float32)
        for token, state, carry, enter, keep, new, leave, shown, there in reversed(self._kept):
            to_carried = to_carry + to_state * leave * (1 - shown**2)
            parts = (
                to_carried * new * enter * (1 - enter),
                to_carried * carry * keep * (1 - keep),
                to_carried * enter * (1 - new**2),
                to_state * shown * leave * (1 - leave),
            )
            to_gates = np.concatenate(parts, axis=-1) * there
            to_added += _turned(one_hot[token]) @ to_gates
            g["onward"] += _turned(state) @ to_gates
            to_carry = np.where(there, to_carried * keep, to_carry)
            to_state = np.where(there, 0, to_state) + to_gates @ _turned(w["onward"])
        to_added.sum(1, keepdims=True, out=g["bias"])
        np.matmul(_turned(w["table"]), to_added, out=g["into"])
        np.matmul(to_added, _turned(w["into"]), out=g["table"])


def sigmoid(values: Floats) -> Floats:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * values) + 0.5)


def _drawn(
    shapes: Mapping[str, tuple[int, ...]], bounds: Mapping[str, float], rng: np.random.Generator
) -> Weights:
    """Weights uniform in ± their bound; those without a bound are zero."""
    weights = Weights(shapes)
    for name, bound in bounds.items():
        weights[name][...] = rng.uniform(-bound, bound, shapes[name])
    return weights


def _turned(values: Floats) -> Floats:
    return np.swapaxes(values, -1, -2)
