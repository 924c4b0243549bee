"""Surrogates: models that predict a cell's accuracy from those of others.

A surrogate is any object with `fit(X, y)` and `predict(X)`, such as a regressor of scikit-learn. Exploration
needs one that also has `members(X)`, the predictions of each member of an ensemble, (members, cells).
`Predictor` is how a searcher uses a surrogate: cells in, accuracies in percent out, both checked.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasgauge.spaces.errors import NasgaugeError, missing
from nasgauge.spaces.nb201 import Code, Layout, Space

C = TypeVar("C")

Array = NDArray[np.float64]


class InvalidSurrogate(NasgaugeError, ValueError):
    """A surrogate that does not exist, is not installed, or cannot do what is asked of it."""


class BadPrediction(NasgaugeError, ValueError):
    """A surrogate whose predictions are not one finite number for each cell."""


class Surrogate(Protocol):
    """A regression model; X is (cells, features), y is (cells,) accuracies in percent."""

    def fit(self, X: Array, y: Array, /) -> Any:
        """Fit from scratch, independently of earlier fits."""
        ...

    def predict(self, X: Array, /) -> Array:
        """Accuracies in percent, (cells,)."""
        ...


@dataclass(frozen=True)
class Kind:
    """A surrogate of the registry: its factory, the code it reads, and the packages it needs."""

    target: str
    """`module:factory`; the factory takes a seed, a layout of tokens, and options of training."""
    code: Code
    """The features that it reads; `tokens` stands for any code of tokens."""
    package: str
    members: bool = False
    """Whether it has `members`."""

    def make(self, seed: int, layout: Layout, **training: Any) -> Surrogate:
        """A new surrogate; its module is imported only now."""
        module, _, name = self.target.partition(":")
        surrogate: Surrogate = getattr(importlib.import_module(module), name)(seed, layout, **training)
        return surrogate


SURROGATES: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "boosting": Kind("nasgauge.searchers.surrogates.library:boosting", "structure", "sklearn"),
        "forest": Kind("nasgauge.searchers.surrogates.library:Forest", "structure", "sklearn", members=True),
        "gp": Kind("nasgauge.searchers.surrogates.library:GaussianProcess", "path", "sklearn", members=True),
        "lightgbm": Kind("nasgauge.searchers.surrogates.library:lightgbm", "structure", "lightgbm"),
        "lstm": Kind("nasgauge.searchers.surrogates.neural:lstm", "tokens", "numpy"),
        "lstm-ensemble": Kind(
            "nasgauge.searchers.surrogates.neural:lstm_ensemble", "tokens", "numpy", members=True
        ),
        "mlp": Kind("nasgauge.searchers.surrogates.neural:mlp", "tokens", "numpy"),
        "mlp-ensemble": Kind(
            "nasgauge.searchers.surrogates.neural:mlp_ensemble", "tokens", "numpy", members=True
        ),
    }
)
"""All surrogates, by name."""


class Predictor(Generic[C]):
    """A surrogate over the cells of a space: made anew and fitted from scratch at every `learn`.

    `surrogate` is a name of `SURROGATES`, or an object with `fit` and `predict`, which is fitted again and
    reads `code`. `tokens` is the code of those of `SURROGATES` that read tokens.

    Raises InvalidSurrogate, MissingExtra.
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        surrogate: str | Surrogate,
        *,
        code: Code = "structure",
        tokens: Code = "tokens",
        members: bool = False,
    ) -> None:
        self.space = space
        self.rng = rng
        self.name = surrogate if isinstance(surrogate, str) else type(surrogate).__name__
        self.code = code
        self._given = None if isinstance(surrogate, str) else surrogate
        self._fitted: Surrogate | None = None
        self._layout = space.layouts[tokens]
        if isinstance(surrogate, str):
            kind = _known(surrogate)
            self.code = tokens if kind.code == "tokens" else kind.code
            able, package = kind.members, kind.package
        else:
            able, package = hasattr(surrogate, "members"), type(surrogate).__module__.partition(".")[0]
        self.packages = (package,)
        """The package that the surrogate is from, or that it needs."""
        if members and not able:
            names = ", ".join(name for name, kind in SURROGATES.items() if kind.members)
            raise InvalidSurrogate(
                f"surrogate {self.name} has no members that could disagree, which exploration needs; "
                f"choose from {names}, or turn exploration off"
            )

    def learn(self, cells: Sequence[C], accuracies: Sequence[float], **training: Any) -> None:
        """Fit to evaluated cells and their accuracies in percent.

        `training` are options of the surrogate's factory, as of `NeuralSurrogate`.
        """
        surrogate = self._given
        if surrogate is None:
            seed = int(self.rng.integers(1 << 31))
            surrogate = SURROGATES[self.name].make(seed, self._layout, **training)
        X, y = self.space.features(cells, self.code), np.array(accuracies, dtype=np.float64)
        surrogate.fit(X, y)
        self._fitted = surrogate

    def predict(self, cells: Sequence[C]) -> Array:
        """Predicted accuracies in percent, (cells,).

        Raises BadPrediction.
        """
        return self._checked(self._surrogate.predict(self.space.features(cells, self.code)), (len(cells),))

    def members(self, cells: Sequence[C]) -> Array:
        """Predictions of each member of an ensemble in percent, (members, cells).

        Raises BadPrediction.
        """
        X = self.space.features(cells, self.code)
        values = np.asarray(self._surrogate.members(X))  # type: ignore[attr-defined]  # checked when made
        return self._checked(values, (len(values) if values.ndim == 2 else 0, len(cells)))

    @property
    def _surrogate(self) -> Surrogate:
        if self._fitted is None:
            raise RuntimeError("learn first")
        return self._fitted

    def _checked(self, values: Array, shape: tuple[int, ...]) -> Array:
        values = np.asarray(values, dtype=np.float64)
        if values.shape != shape:
            raise BadPrediction(
                f"surrogate {self.name} gave predictions of shape {values.shape} for {shape[-1]} cells; "
                f"it must give shape {shape}"
            )
        if not np.isfinite(values).all():
            raise BadPrediction(
                f"surrogate {self.name} predicted {int((~np.isfinite(values)).sum())} values that are not "
                "finite; choose another surrogate"
            )
        return values


def installed() -> tuple[str, ...]:
    """The names of `SURROGATES` whose packages are installed."""
    return tuple(name for name, kind in SURROGATES.items() if find_spec(kind.package) is not None)


def _known(name: str) -> Kind:
    if name not in SURROGATES:
        raise InvalidSurrogate(f"surrogate must be one of {', '.join(SURROGATES)}, not {name!r}")
    kind = SURROGATES[name]
    if find_spec(kind.package) is None:
        raise missing(kind.package)
    return kind
