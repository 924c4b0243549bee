"""The predictors of progressive search in torch: MLP and LSTM over tokens, alone and in ensembles.

Liu et al., 2018, section 4.2 (PNAS). All members of an ensemble are trained at once: every weight has a
leading axis M of members, and a layer is one batched product.

Shapes: M members, N cells, B blocks, S slots (tokens of a block), V vocabulary, E embedding, H hidden.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasgauge.spaces.nb201 import Layout

Array = NDArray[np.float64]

EMBEDDING: Final = 100
HIDDEN: Final = 100
_SPREAD: Final = 0.1  # embeddings begin uniform in ±0.1


class Perceptron:
    """Embed the tokens, join those of a block, average over blocks, two hidden layers.

    The average is over the places for blocks, and an absent block adds zeros: for the cells of one size
    in the paper's space that is its average but for a factor, and where cells of one size differ in their
    number of blocks, as paths on NAS-Bench-201, the number is not lost. It is computed as how often each
    token occurs in a slot, times the embedding table.
    """

    def __init__(self, layout: Layout, members: int, generator: torch.Generator) -> None:
        self.layout = layout
        self.table_MVE = _uniform((members, layout.vocabulary, EMBEDDING), _SPREAD, generator)
        self.first = _dense(members, layout.slots * EMBEDDING, HIDDEN, generator)
        self.second = _dense(members, HIDDEN, HIDDEN, generator)
        self.last = _dense(members, HIDDEN, 1, generator)

    def parameters(self) -> list[Tensor]:
        """The weights, each with the members first."""
        return [self.table_MVE, *self.first, *self.second, *self.last]

    def encode(self, tokens_NBS: Tensor) -> Tensor:
        """How often each token stands in each slot, over the number of places: (N, S * V)."""
        cells, _, slots = tokens_NBS.shape
        counts_NSV = torch.zeros(cells, slots, self.layout.vocabulary + 1)
        counts_NSV.scatter_add_(
            2, tokens_NBS.transpose(1, 2), torch.ones(()).expand(cells, slots, tokens_NBS.shape[1])
        )
        return (counts_NSV[..., 1:] / self.layout.blocks).flatten(1)

    def __call__(self, encoded: Tensor) -> Tensor:
        """Outputs before the sigmoid, (M, N)."""
        by_slot_MSEH = self.first[0].view(len(self.table_MVE), self.layout.slots, EMBEDDING, HIDDEN)
        if self.layout.slots * self.layout.vocabulary < len(encoded):  # two linear maps: the cheaper order
            folded = (self.table_MVE[:, None] @ by_slot_MSEH).flatten(1, 2)
            hidden = torch.relu(encoded @ folded + self.first[1])
        else:
            counts_SNV = encoded.view(len(encoded), self.layout.slots, -1).transpose(0, 1)
            joined = (counts_SNV @ self.table_MVE[:, None]).transpose(1, 2).flatten(2)
            hidden = torch.relu(_apply(self.first, joined))
        hidden = torch.relu(_apply(self.second, hidden))
        return _apply(self.last, hidden)[..., 0]


class Recurrent:
    """Read the tokens of all blocks one after the other (LSTM), then one layer on the last state."""

    def __init__(self, layout: Layout, members: int, generator: torch.Generator) -> None:
        self.table_MVE = _uniform((members, layout.vocabulary + 1, EMBEDDING), _SPREAD, generator)
        bound = 1 / math.sqrt(HIDDEN)
        self.into = _uniform((members, EMBEDDING, 4 * HIDDEN), bound, generator)
        self.onward = _uniform((members, HIDDEN, 4 * HIDDEN), bound, generator)
        self.bias = torch.zeros(members, 1, 4 * HIDDEN)
        self.bias[..., HIDDEN : 2 * HIDDEN] = 1  # forget gates begin open
        self.bias.requires_grad_()
        self.last = _dense(members, HIDDEN, 1, generator)

    def parameters(self) -> list[Tensor]:
        """The weights, each with the members first."""
        return [self.table_MVE, self.into, self.onward, self.bias, *self.last]

    def encode(self, tokens_NBS: Tensor) -> Tensor:
        """The sequence of tokens, (N, B * S)."""
        return tokens_NBS.flatten(1)

    def __call__(self, encoded: Tensor) -> Tensor:
        """Outputs before the sigmoid, (M, N)."""
        members, cells = len(self.table_MVE), len(encoded)
        gates_MVG = self.table_MVE @ self.into + self.bias  # what each token adds, worked out once
        state = carry = torch.zeros(members, cells, HIDDEN)
        for tokens_N in encoded.T:
            gates = torch.baddbmm(gates_MVG[:, tokens_N], state, self.onward)
            enter, keep, new, leave = gates.chunk(4, -1)
            carried = torch.sigmoid(keep) * carry + torch.sigmoid(enter) * torch.tanh(new)
            there = (tokens_N > 0)[None, :, None]  # the state passes by a token that is not there
            carry = torch.where(there, carried, carry)
            state = torch.where(there, torch.sigmoid(leave) * torch.tanh(carried), state)
        return _apply(self.last, state)[..., 0]


class NeuralSurrogate:
    """M networks with a sigmoid at the end, trained with Adam on the absolute error.

    With several members each leaves out another 1/M of the data (the paper's five, each on 4/5). The last
    bias begins at the mean of the data (the paper's 1.8 is the sigmoid's inverse of 0.858, the mean of its
    one-block cells). How long to train, and on how large batches, the paper does not say.
    """

    def __init__(
        self,
        seed: int,
        layout: Layout,
        network: type[Perceptron | Recurrent],
        *,
        members: int = 1,
        steps: int = 60,
        batch: int = 32,
        learning_rate: float = 0.01,
    ) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.layout = layout
        self.network = network
        self.members_ = members
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate

    def fit(self, X: Array, y: Array) -> "NeuralSurrogate":
        """Train new networks; X is (N, B * S) tokens, y (N,) in percent."""
        with _one_thread():
            target_N = torch.as_tensor(y / 100, dtype=torch.float32)
            self._net = self.network(self.layout, self.members_, self.generator)
            with torch.no_grad():
                self._net.last[1].fill_(torch.logit(target_N.mean(), eps=1e-3).item())
            self._train(self._net.encode(self._tokens(X)), target_N)
        return self

    def predict(self, X: Array) -> Array:
        """The members' mean, (N,) in percent."""
        mean: Array = self.members(X).mean(0)
        return mean

    def members(self, X: Array) -> Array:
        """What each member predicts, (M, N) in percent."""
        with _one_thread(), torch.inference_mode():
            chunks = torch.split(self._tokens(X), 8192)
            outputs = torch.cat([self._net(self._net.encode(chunk)) for chunk in chunks], 1)
            return np.asarray(100 * torch.sigmoid(outputs).double().numpy())

    def _tokens(self, X: Array) -> Tensor:
        return torch.as_tensor(X, dtype=torch.int64).view(-1, self.layout.blocks, self.layout.slots)

    def _train(self, encoded: Tensor, target_N: Tensor) -> None:
        cells, members = len(target_N), self.members_
        used_MN = torch.ones(members, cells)
        if 1 < members <= cells:
            order = torch.randperm(cells, generator=self.generator)
            for member in range(members):
                used_MN[member, order[member::members]] = 0
        optimizer = torch.optim.Adam(self._net.parameters(), lr=self.learning_rate, fused=True)
        for step in range(self.steps):
            falling = (1 + math.cos(math.pi * step / self.steps)) / 2
            optimizer.param_groups[0]["lr"] = self.learning_rate * falling
            some = torch.randint(cells, (min(cells, self.batch),), generator=self.generator)
            error_MN = (torch.sigmoid(self._net(encoded[some])) - target_N[some]).abs()
            weight_MN = used_MN[:, some]
            loss = (error_MN * weight_MN).sum() / weight_MN.sum().clamp(min=1) * members
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()


def mlp(seed: int, layout: Layout) -> NeuralSurrogate:
    """One MLP on all the data."""
    return NeuralSurrogate(seed, layout, Perceptron)


def mlp_ensemble(seed: int, layout: Layout) -> NeuralSurrogate:
    """Five MLPs, each on another 4/5 of the data: the predictor of the paper's search."""
    return NeuralSurrogate(seed, layout, Perceptron, members=5)


def lstm(seed: int, layout: Layout) -> NeuralSurrogate:
    """One LSTM on all the data."""
    return NeuralSurrogate(seed, layout, Recurrent)


def lstm_ensemble(seed: int, layout: Layout) -> NeuralSurrogate:
    """Five LSTMs, each on another 4/5 of the data."""
    return NeuralSurrogate(seed, layout, Recurrent, members=5)


Dense = tuple[Tensor, Tensor]


def _dense(members: int, wide: int, narrow: int, generator: torch.Generator) -> Dense:
    weight = _uniform(
        (members, wide, narrow), math.sqrt(6 / wide) if narrow > 1 else 1 / math.sqrt(wide), generator
    )
    return weight, torch.zeros(members, 1, narrow, requires_grad=True)


def _apply(layer: Dense, values: Tensor) -> Tensor:
    return torch.baddbmm(layer[1], values, layer[0])


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=generator).requires_grad_()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Tensors this small are fastest on one thread, and their sums do not depend on the number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
