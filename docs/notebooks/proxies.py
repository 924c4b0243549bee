# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Zero-cost proxies
#
# A zero-cost proxy scores an untrained network from a single batch of images. Does it rank cells by their accuracy, and does it
# say more than the number of FLOPs? This notebook asks that for two proxies on a few cells. It needs the extra
# `nasgauge[train]`, and no GPU.
#
# ## Score cells
#
# Each proxy is computed on the network that it was published for, with images that ship with the package. Here are 24 cells,
# drawn at random from the table with a fixed seed.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import kendalltau

import nasgauge as ng

table = ng.open_table().frame()
cells = table.sample(24, random_state=0).index
scores = ng.score(cells, proxies=["naswot", "synflow", "flops"], progress=False)
scores.head(3)

# %% [markdown]
# `weights` and `batch` count the draws of initial weights and of images: another draw gives another score, for some proxies
# a very different one. `seconds` is the CPU time of the proxy. `reason` says why a value is not finite, for example because no
# path leads from the input to the output of the cell.

# %%
f"{np.isfinite(scores['value']).sum()} of {len(scores)} scores are finite"

# %% [markdown]
# ## Agreement with accuracy
#
# Kendall's tau compares all pairs of cells: 1 if the proxy orders every pair as the accuracy does, 0 for no relation.

# %%
frame = scores.pivot(index="cell", columns="proxy", values="value")
frame["accuracy"] = table["cifar10/200/test/mean/accuracy"]
frame = frame[np.isfinite(frame).all(axis=1)]
names = ["flops", "naswot", "synflow"]


def taus(sample):
    return {name: kendalltau(sample[name], sample["accuracy"]).statistic for name in names}


rng = np.random.default_rng(0)
draws = [taus(frame.iloc[rng.integers(len(frame), size=len(frame))]) for _ in range(500)]
for name, tau in taus(frame).items():
    low, high = np.quantile([draw[name] for draw in draws], [0.025, 0.975])
    print(
        f"{name:8s} tau {tau:.2f}, 95 % bootstrap interval over cells {low:.2f} to {high:.2f}, {len(frame)} cells"
    )

# %% [markdown]
# The intervals are wide: so few cells cannot tell these proxies apart. The documentation has the same table for all 6,466
# structural classes of cells.
#
# ## Beyond FLOPs
#
# A proxy that only counts operations will agree with accuracy too, because larger cells are better on average. Partial tau
# is what remains of the agreement when FLOPs are taken into account.

# %%


def partial_tau(sample, name):
    """Kendall's partial tau of a proxy with accuracy, given FLOPs (Kendall, 1942)."""
    both = kendalltau(sample[name], sample["accuracy"]).statistic
    proxy, accuracy = (kendalltau(sample[column], sample["flops"]).statistic for column in (name, "accuracy"))
    return (both - proxy * accuracy) / np.sqrt((1 - proxy**2) * (1 - accuracy**2))


for name in names[1:]:
    print(f"{name:8s} partial tau given FLOPs {partial_tau(frame, name):.2f}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True, layout="constrained")
for one, name in zip(axes, names, strict=True):
    one.scatter(frame[name], frame["accuracy"], s=14)
    one.set_xlabel(name)
axes[0].set_ylabel("CIFAR-10 test accuracy (%)")
plt.show()

# %% [markdown]
# `nasgauge score agreement` makes this analysis for all 17 proxies, with intervals, noise ceilings and the figures of the
# papers beside ours. It reads scores that ship with the package, so that it needs no hour of scoring.
#
# ## Does a proxy help a search?
#
# A ranking is one question, a search another. Any searcher can begin with the cells that a proxy ranks highest among those with
# shipped scores. The seconds of scoring are charged to the search.

# %%
results = ng.bench(
    ["local", "local:warm=naswot", "local:warm=flops"],
    dataset="cifar10",
    seeds=20,
    budget=60,
    workers=2,
    progress=False,
)
figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
results.plot_efficiency("cifar10", ax=axes)
plt.show()

# %%
results.compare("local:warm=naswot", "local:warm=flops")[["difference", "low", "high", "p", "A12"]].round(3)

# %% [markdown]
# The comparison that counts is the one with `warm=flops`: a warm start by size costs nothing and needs no network.
#
# Next notebook: [from search to training](search-to-training.py).
