"""BOHB: Hyperband whose new cells are drawn from a model of the good ones (Falkner et al., 2018)."""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from nasgauge.searchers.densities import Density
from nasgauge.searchers.hyperband import Hyperband
from nasgauge.spaces.fidelities import EVERY_EPOCH, At
from nasgauge.spaces.nb201 import Space
from nasgauge.spaces.ranks import comparable

C = TypeVar("C")

Choices = tuple[int, ...]
_LEAST_DENSITY: Final = 1e-32


class BOHB(Hyperband[C]):
    """Hyperband with a pair of kernel density estimates, of the good cells and of the others.

    The model is that of the longest training length with enough results. A new cell is that of `samples` draws
    from the density of the good ones whose ratio of both densities is highest (Falkner et al., 2018, section 3.2).
    The defaults are those of the authors' code, HpBandSter. It differs from that code in three points: a bracket begins with
    as many cells as one of `Hyperband`, where the code has fewer of most; a kernel knows all
    options of a decision, also those that no result has, for which the code's density is undefined; and no
    bandwidth is beyond that of the uniform kernel. The code's `bandwidth_factor` concerns continuous parameters alone,
    of which a cell has none.

    Parameters
    ----------
    eta
        The least ratio between two training lengths.
    lowest
        Epochs of the shortest training; 0 for the shortest that there is.
    top
        Percentage of the results that count as good.
    samples
        Draws of which the best is taken.
    random
        Share of the new cells that are drawn uniformly.
    least_bandwidth
        The smallest bandwidth of a decision, so that none is fixed.

    Raises ValueError as `Hyperband`, and for shares and counts out of range.
    """

    def __init__(
        self,
        space: Space[C],
        rng: np.random.Generator,
        *,
        fidelities: Sequence[int] = EVERY_EPOCH,
        eta: int = 3,
        lowest: int = 0,
        top: int = 15,
        samples: int = 64,
        random: float = 1 / 3,
        least_bandwidth: float = 1e-3,
    ) -> None:
        if not 0 < top < 100 or samples < 1 or not 0 <= random <= 1 or not 0 < least_bandwidth < 1:
            raise ValueError(
                "top must be in 1 to 99, samples at least 1, random in [0, 1] and least_bandwidth in (0, 1), not "
                f"top={top}, samples={samples}, random={random:g} and least_bandwidth={least_bandwidth:g}"
            )
        super().__init__(space, rng, fidelities=fidelities, eta=eta, lowest=lowest)
        self.top = top
        self.samples = samples
        self.random = random
        self.least_bandwidth = least_bandwidth
        self._choices: dict[C, Choices] = {}
        self._results: dict[int, list[tuple[float, Choices]]] = {}  # by epochs
        self._model: tuple[Density, Density] | None = None  # of the good, and of the others
        self._outdated = False

    def draw(self) -> C:
        """A cell from the model, or a random one."""
        if self._outdated:
            self._fit()
        if self._model is None or self.rng.random() < self.random:
            choices = tuple(int(self.rng.integers(options)) for options in self.space.decisions)
        else:
            good, others = self._model
            drawn = good.sample(self.samples, self.rng)
            ratio = np.maximum(others(drawn), _LEAST_DENSITY) / np.maximum(good(drawn), _LEAST_DENSITY)
            choices = tuple(drawn[int(ratio.argmin())].tolist())
        cell = self.space.decide(choices)
        self._choices[cell] = choices
        return cell

    def tell(self, asked: At[C], accuracy: float) -> None:
        """Add a result to the rung and to the model."""
        super().tell(asked, accuracy)
        results = self._results.setdefault(asked.epochs, [])
        results.append((comparable(accuracy), self._choices[asked.cell]))
        self._outdated = True

    def _fit(self) -> None:
        """Model the results of the longest training length with more than a result a decision on both sides."""
        self._outdated = False
        decisions = len(self.space.decisions)
        for _, results in sorted(self._results.items(), reverse=True):
            count = len(results)
            good = max(decisions + 1, self.top * count // 100)
            others = max(decisions + 1, (100 - self.top) * count // 100)
            if count - good > decisions:
                best_first = sorted(results, key=lambda result: -result[0])
                data = np.array([choices for _, choices in best_first], dtype=np.intp)
                self._model = self._density(data[:good]), self._density(data[good : good + others])
                return

    def _density(self, data_ND: NDArray[np.intp]) -> Density:
        return Density(data_ND, self.space.decisions, self.least_bandwidth)
