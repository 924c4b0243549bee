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
# # A first campaign
#
# Three searchers, one dataset, twenty seeds each: enough to see what nasgauge does. Everything here is a lookup in a
# table that ships with the package, so it takes seconds and needs neither a GPU nor a download.
#
# ## The table
#
# The table `nb201` has the trained accuracies of all 15,625 cells of NAS-Bench-201 on three datasets.

# %%
import matplotlib.pyplot as plt

import nasgauge as ng

table = ng.open_table()
table

# %% [markdown]
# A cell is named by its string, as in the benchmark. A query says which dataset, how many epochs of training, and which split.

# %%
cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
for split in ("valid", "test"):
    print(split, round(table.query(cell, dataset="cifar10", epochs=200, split=split), 2))

# %% [markdown]
# The validation accuracy is what a search may look at. The test accuracy is what is reported in the end; no searcher sees it.
#
# ## The campaign
#
# Each searcher runs with seeds 0 to 19. A run is 100 queries: the searcher proposes a cell, observes its validation accuracy
# after 200 epochs, and proposes the next. That accuracy is of a single training, whose seed is drawn at each query, as it
# would be in a real search.

# %%
results = ng.bench(
    ["random", "evolution", "local"], dataset="cifar10", seeds=20, budget=100, workers=2, progress=False
)

# %% [markdown]
# ## What came out
#
# One row for each searcher. `mean` is the test accuracy of the incumbent, the cell with the best validation accuracy that a
# run has seen, at the end of its budget; `low` and `high` are a 95 % bootstrap interval over runs.

# %%
summary = results.summary()
summary[["searcher", "n", "mean", "low", "high"]].round(2)

# %%
figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
results.plot_efficiency("cifar10", ax=axes)
plt.show()

# %% [markdown]
# The band is the same interval after each query. The line of exact random search is computed in closed form, without any
# run, so the searcher `random` should lie on it up to noise: a check that the harness measures what it says.
#
# ## Is the difference real?
#
# The test is one of two independent samples (Brunner-Munzel). `A12` is the
# probability that a run of the first searcher ends above a run of the second, with ties counted half. `low` and `high` are
# the 95 % interval of the difference, in percentage points.

# %%
columns = ["searcher", "against", "difference", "low", "high", "p", "A12"]
results.compare("evolution", "random")[columns].round(3)

# %% [markdown]
# With two searchers that are closer to each other, twenty runs may not be enough to tell them apart. That is a result too:
# report the interval, or run more seeds.

# %%
results.compare("evolution", "local")[columns].round(3)

# %% [markdown]
# ## Every query
#
# Behind the summary is a table with one row for each query, for your own analyses.

# %%
frame = results.frame()
frame.head(3)

# %%
frame.groupby("searcher")["cell"].agg(["size", "nunique"])

# %% [markdown]
# Here: how many queries each searcher made, and how many different cells these were over all runs.
#
# ## Next
#
# With `out="results/first"` the results are kept in a folder. The same call with more seeds then runs only what is missing, and
# `results.report()` writes a page with every figure, test and table. The same from the command line:
#
# ```
# nasgauge bench --searchers random,evolution,local --dataset cifar10 --seeds 20 --budget 100
# ```
#
# Next notebook: [your own searcher](own-searcher.py).
