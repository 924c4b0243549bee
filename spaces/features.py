"""Features of NAS-Bench-201 cells for surrogates: for each code one matrix over all 15,625, made once."""

from collections.abc import Mapping
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.cells import EDGES, OPERATIONS, ROUTES

Code = Literal["one_hot", "path", "tokens", "operations", "structure", "graph"]

_REAL: Final = len(OPERATIONS) - 1  # operations that are not `none`
_FIRST_PATH: Final = {1: 0, 2: _REAL, 3: _REAL + _REAL**2}  # place of the first sequence of each length
N_PATHS: Final = _REAL + _REAL**2 + _REAL**3
"""Sequences of one to three operations: 4 + 16 + 64."""


class Layout(NamedTuple):
    """The shape of a code of tokens: a cell is up to `blocks` blocks of `slots` tokens.

    Tokens are 1 to `vocabulary`; 0 fills the place of a token that the cell does not have. Blocks come
    first and slots second in a row of (blocks * slots,).
    """

    blocks: int
    slots: int
    vocabulary: int


_SOURCES: Final = 3  # nodes that an edge may leave

LAYOUTS: Final[Mapping[Code, Layout]] = MappingProxyType(
    {
        "tokens": Layout(blocks=len(ROUTES), slots=1, vocabulary=N_PATHS),
        "operations": Layout(blocks=3, slots=2 * _SOURCES, vocabulary=_SOURCES + _REAL),
        "graph": Layout(blocks=len(EDGES) + 2, slots=len(EDGES) + 3, vocabulary=len(OPERATIONS) + 2),
    }
)
"""The codes of tokens.

`tokens`: a block is a path; its one token is the sequence of operations along it. `operations`: a block is a
node with the edges into it; like a block of the PNAS paper it is first the inputs, one token an edge, and
then their operations. An edge that is `none` has no tokens. `graph`: a block is a node (see `nasgauge.spaces.graphs`).
"""


@cache
def matrix(code: Code) -> NDArray[np.float64]:
    """The features of all cells by `Cell.rank`, (15625, features), read-only.

    Raises ValueError for an unknown code.
    """
    if code not in _CODES:
        raise ValueError(f"unknown encoding {code!r}; choose from {', '.join(_CODES)}")
    features: NDArray[np.float64] = _CODES[code]()
    features.flags.writeable = False
    return features


@cache
def codes() -> NDArray[np.intp]:
    """The place in `OPERATIONS` of each edge's operation, (15625, 6) by `Cell.rank`."""
    return np.array(list(product(range(len(OPERATIONS)), repeat=len(EDGES))), dtype=np.intp)


@cache
def live_edges() -> NDArray[np.bool_]:
    """Which edges lie on a path of edges that are not `none`, (15625, 6) by `Cell.rank`."""
    live = np.zeros(codes().shape, dtype=np.bool_)
    for route in ROUTES:
        live[:, route] |= (codes()[:, route] > 0).all(1, keepdims=True)
    return live


@cache
def connected() -> tuple[bool, ...]:
    """Whether a path without `none` leads from input to output, by `Cell.rank`."""
    return tuple((live_edges().sum(1) > 0).tolist())


def _one_hot() -> NDArray[np.float64]:
    return np.eye(len(OPERATIONS))[codes()].reshape(len(codes()), -1)


def _tokens() -> NDArray[np.float64]:
    columns = []
    for route in ROUTES:
        sequence = codes()[:, route] - 1
        place = sequence @ (_REAL ** np.arange(len(route) - 1, -1, -1)) + _FIRST_PATH[len(route)]
        columns.append(np.where((sequence >= 0).all(1), place + 1, 0))
    return np.sort(np.stack(columns, axis=1), axis=1)[:, ::-1].astype(np.float64)


def _operations() -> NDArray[np.float64]:
    layout = LAYOUTS["operations"]
    tokens = np.zeros((len(codes()), layout.blocks, 2, _SOURCES))
    for place, (source, into) in enumerate(EDGES):
        operation = codes()[:, place]
        there = operation > 0
        tokens[there, into - 1, 0, source] = 1 + source
        tokens[there, into - 1, 1, source] = _SOURCES + operation[there]
    return tokens.reshape(len(tokens), -1)


def _path_counts() -> NDArray[np.float64]:
    tokens = _tokens().astype(np.intp)
    counts = np.zeros((len(tokens), N_PATHS + 1))
    for column in tokens.T:
        counts[np.arange(len(tokens)), column] += 1
    return counts[:, 1:]


def _path() -> NDArray[np.float64]:
    return np.minimum(_path_counts(), 1)


def _structure() -> NDArray[np.float64]:
    live = live_edges()
    operations = np.where(live, codes(), 0)
    counts = np.stack([(operations == op).sum(1) for op in range(1, len(OPERATIONS))], axis=1)
    names = ("nor_conv_1x1", "nor_conv_3x3")
    convolution = np.isin(codes(), [OPERATIONS.index(name) for name in names])
    whole = np.stack([(codes()[:, route] > 0).all(1) for route in ROUTES], axis=1)
    longest = (whole * np.array([len(route) for route in ROUTES])).max(1)
    deepest = (whole * np.stack([convolution[:, route].sum(1) for route in ROUTES], axis=1)).max(1)
    sums = np.stack([live.sum(1), longest, deepest, whole.sum(1)], axis=1)
    return np.hstack([_one_hot(), _path_counts(), counts, sums]).astype(np.float64)


def _graph() -> NDArray[np.float64]:
    """The input, an operation for each edge, the output; `none` is a node that nothing leads into or out of."""
    labels = np.hstack([np.full((len(codes()), 1), 1), 2 + codes(), np.full((len(codes()), 1), 7)])
    used = np.hstack([np.ones((len(codes()), 1), bool), codes() > 0, np.ones((len(codes()), 1), bool)])
    leads = np.zeros((len(EDGES) + 2, len(EDGES) + 2))  # into a node (row) from a node (column)
    for place, (source, into) in enumerate(EDGES, 1):
        before = [0] if source == 0 else [at for at, (_, end) in enumerate(EDGES, 1) if end == source]
        leads[place, before] = 1
        if into == _SOURCES:
            leads[-1, place] = 1
    fed = leads * used[:, :, None] * used[:, None]
    return np.concatenate([labels[..., None], fed], axis=2).reshape(len(labels), -1)


_CODES: Final = {
    "one_hot": _one_hot,
    "path": _path,
    "tokens": _tokens,
    "operations": _operations,
    "structure": _structure,
    "graph": _graph,
}
