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
# # From search to training
#
# A table answers every query at once. In the end a cell has to be trained, and what the table says of it should be true. This
# notebook searches, takes the cells that most runs end with, and trains them. It needs the extra `nasgauge[train]`.
#
# **What it shows, and what not.** The training here is the recipe `tiny`: a network of 4 channels and one cell a stage, on
# synthetic images. It takes seconds on a CPU and shows every step, but its accuracies say nothing about the
# accuracy of these cells on CIFAR-10. At the end are the commands for real trainings.
#
# ## Search

# %%
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import pandas as pd

import nasgauge as ng

results = ng.bench(["random", "local"], dataset="cifar10", seeds=20, budget=100, workers=2, progress=False)
results.summary()[["searcher", "n", "mean", "low", "high"]].round(2)

# %% [markdown]
# ## The winners
#
# The final cell of a run is its incumbent: the one with the best validation accuracy that the run has seen.

# %%
frame = results.frame()
finals = frame.loc[frame.groupby(["searcher", "seed"])["metric"].idxmax()]
counts = finals["cell"].value_counts()
counts.head(3)

# %% [markdown]
# For comparison we also train a weak cell: among all queries of all runs, 95 % were of cells that are better by test accuracy.

# %%
best = counts.index[0]
weak = frame.sort_values("test").iloc[len(frame) // 20]["cell"]
table = ng.open_table()
pd.DataFrame(
    {
        name: {
            "cell": cell,
            "test accuracy in the table": table.query(cell, dataset="cifar10", epochs=200, split="test"),
        }
        for name, cell in {"most frequent winner": best, "weak": weak}.items()
    }
).T

# %% [markdown]
# ## Train
#
# `ng.train` takes cells and a recipe, and writes a record for each training into a folder. An interrupted training goes on
# from its checkpoint when the same call is made again; a finished one is read, not repeated.

# %%
folder = TemporaryDirectory()
options = {
    "recipe": "tiny",
    "epochs": 6,
    "dataset": "made-up",
    "out": folder.name,
    "device": "cpu",
    "progress": False,
}
curves = ng.train([best, weak], **options)
curves[["cell", "seed", "epoch", "train_loss", "valid_accuracy", "images_per_second"]].round(2)

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
for name, cell in {"most frequent winner": best, "weak": weak}.items():
    one = curves[curves["cell"] == cell]
    axes.plot(one["epoch"], one["valid_accuracy"], marker="o", label=name)
axes.set_xlabel("epoch")
axes.set_ylabel("validation accuracy, synthetic images (%)")
axes.legend()
plt.show()

# %% [markdown]
# One seed each on synthetic images: a difference between these two curves is no evidence about CIFAR-10. It shows that the cells
# build, learn, and are recorded. The same call again trains nothing:

# %%
again = ng.train([best, weak], **options)
again["valid_accuracy"].equals(curves["valid_accuracy"])

# %%
folder.cleanup()

# %% [markdown]
# ## For real
#
# The benchmark's 12-epoch recipe on CIFAR-10, which the table can be compared with, takes hours for each cell on a CPU, and
# minutes on a GPU:
#
# ```
# nasgauge bench --searchers random,local --dataset cifar10 --seeds 20 --budget 100 --out results/search
# nasgauge train --top 3 --from results/search --recipe nb201-12 --dataset cifar10-valid --out results/trained
# nasgauge score bridge results/trained --table nb201
# ```
#
# The first trains nothing, the second downloads CIFAR-10, and the third puts the trained cells beside the table, with
# prediction intervals. The documentation has the results of eight cells trained in this way.
