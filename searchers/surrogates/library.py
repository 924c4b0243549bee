"""Models of well-kept libraries as surrogates, with settings for tens to hundreds of cells."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from threadpoolctl import threadpool_limits

from nasgauge.spaces.nb201 import Layout

Array = NDArray[np.float64]


class SingleThreaded:
    """A model of scikit-learn, fitted and asked on one thread of every library, OpenMP's too, which may be loaded with it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, X: Array, y: Array) -> "SingleThreaded":
        """Fit the model."""
        with threadpool_limits(limits=1):
            self.model.fit(X, y)
        return self

    def predict(self, X: Array, **how: bool) -> Any:
        """What the model predicts."""
        with threadpool_limits(limits=1):
            return self.model.predict(X, **how)


class Forest:
    """Extremely randomized trees (Geurts et al., 2006); each tree is a member."""

    def __init__(self, seed: int, layout: Layout, *, trees: int = 40) -> None:  # noqa: ARG002 - reads no tokens
        self.model = ExtraTreesRegressor(trees, max_features=0.5, random_state=seed)

    def fit(self, X: Array, y: Array) -> "Forest":
        """Grow all trees anew."""
        self.model.fit(X, y)
        return self

    def predict(self, X: Array) -> Array:
        """The trees' mean, (cells,)."""
        mean: Array = self.members(X).mean(0)
        return mean

    def members(self, X: Array) -> Array:
        """What each tree predicts, (trees, cells)."""
        narrow = np.ascontiguousarray(X, dtype=np.float32)  # what trees read; saves a copy for each
        return np.stack([tree.predict(narrow, check_input=False) for tree in self.model.estimators_])


class GaussianProcess:
    """Gaussian process with one length scale on the path encoding; its members are draws at each cell."""

    def __init__(self, seed: int, layout: Layout, *, draws: int = 16) -> None:  # noqa: ARG002 - reads no tokens
        self.seed = seed
        self.draws = draws
        kernel = ConstantKernel(1.0) * RBF(3.0, (0.3, 100.0)) + WhiteKernel(0.1, (1e-4, 10.0))
        self.model = SingleThreaded(GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed))

    def fit(self, X: Array, y: Array) -> "GaussianProcess":
        """Fit the kernel by its likelihood."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a bound of the kernel was met: harmless
            self.model.fit(X, y)
        return self

    def predict(self, X: Array) -> Array:
        """The posterior mean, (cells,)."""
        mean: Array = self.model.predict(X)
        return mean

    def members(self, X: Array) -> Array:
        """Draws from the marginal posteriors, (draws, cells): their mean and spread are the process's."""
        mean, deviation = self.model.predict(X, return_std=True)
        noise = np.random.default_rng(self.seed).standard_normal((self.draws, 1))
        noise = (noise - noise.mean()) / noise.std()
        return np.asarray(mean + deviation * noise)


def boosting(seed: int, layout: Layout) -> Any:  # noqa: ARG001 - reads no tokens
    """Gradient boosting on histograms (scikit-learn)."""
    return SingleThreaded(
        HistGradientBoostingRegressor(max_iter=100, min_samples_leaf=3, max_leaf_nodes=8, random_state=seed)
    )


def lightgbm(seed: int, layout: Layout) -> Any:  # noqa: ARG001 - reads no tokens
    """Gradient boosting on histograms (LightGBM)."""
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        n_estimators=100,
        num_leaves=8,
        min_child_samples=3,
        random_state=seed,
        n_jobs=1,
        deterministic=True,
        force_row_wise=True,
        verbose=-1,
    )
