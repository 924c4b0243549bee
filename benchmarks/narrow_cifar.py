"""The papers' CIFAR networks in narrow width on all 50,000 images of CIFAR-10, and a random cell beside them.

    python benchmarks/narrow_cifar.py --epochs 6 --out results/narrow      # hours on two idle cores
    python benchmarks/narrow_cifar.py --only TE-NAS --out results/narrow   # one of them, so that several run side by side
    python benchmarks/narrow_cifar.py --smoke                              # 512 images, one epoch

Each network is trained by its paper's recipe, with fewer channels and epochs, no drop-path and the same budget. The random
cell stands in the network of PNASNet-5. Test images are evaluated once, after the last epoch; rerun to resume. `curves.csv`
and `curves.png` beside the records have all trainings of the call.
"""

import argparse
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

import nasgauge as ng
from nasgauge.analysis.plots.style import STYLE
from nasgauge.harness.records.recipes import RECIPES, Recipe
from nasgauge.spaces.architectures import Architecture, architecture
from nasgauge.spaces.block_spaces import BlockSpace

CHANNELS = 8
"""Of the first stage; the papers have 36 and 48."""
SEED = 777
MARKS = {"PNASNet-5": ("#CC79A7", "D"), "random cell": ("#777777", "o"), "TE-NAS": ("#E69F00", "X")}


def trainings(epochs: int, images: int | None) -> dict[str, tuple[Architecture, Recipe]]:
    """Architecture and recipe of each training, by name."""
    narrow = {
        name: replace(
            RECIPES[name],
            name=f"{name}-narrow-{CHANNELS}x{epochs}" + ("" if images is None else f"-{images}"),
            epochs=epochs,
            channels=CHANNELS,
            drop_path=0.0,  # dropping paths is for hundreds of epochs
            images=images,
        )
        for name in ("pnas-cifar", "tenas-cifar")
    }
    return {
        "PNASNet-5": (architecture("pnasnet5"), narrow["pnas-cifar"]),
        "random cell": (BlockSpace(5).sample(np.random.default_rng(SEED)), narrow["pnas-cifar"]),
        "TE-NAS": (architecture("tenas-cifar10"), narrow["tenas-cifar"]),
    }


def run(out: Path, only: Collection[str], *, epochs: int, images: int | None = None) -> pd.DataFrame:
    """Train all, or only some; the epochs of each, below its name."""
    curves = {
        name: ng.train(cell, recipe=recipe, dataset="cifar10", seeds=[SEED], out=out)
        for name, (cell, recipe) in trainings(epochs, images).items()
        if name in only
    }
    return pd.concat(curves, names=["network"]).reset_index("network").reset_index(drop=True)


def draw(curves: pd.DataFrame, path: Path) -> None:
    """Training accuracy against the epoch, and the test accuracy after the last one, for each network."""
    with plt.rc_context(STYLE):
        figure, ax = plt.subplots(figsize=(5.8, 3.0), layout="constrained")
        for name, curve in curves.groupby("network"):
            colour, marker = MARKS[str(name)]
            ax.plot(
                curve["epoch"],
                curve["train_accuracy"],
                color=colour,
                marker=marker,
                label=f"{name}, training",
            )
            last = curve.iloc[-1]
            ax.plot(
                last["epoch"], last["test_accuracy"], ls="none", color=colour, marker=marker, ms=8, mfc="none",
                label=f"{name}, test",
            )  # fmt: skip
        ax.set(xlabel="epoch", ylabel="accuracy (%)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside right center")
        figure.savefig(path)
        plt.close(figure)


if __name__ == "__main__":
    names = list(trainings(1, None))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--only", action="append", choices=names)
    parser.add_argument("--out", type=Path, default=Path("results/narrow"))
    parser.add_argument("--smoke", action="store_true", help="512 images for one epoch")
    given = parser.parse_args()
    how = {"epochs": 1, "images": 512} if given.smoke else {"epochs": given.epochs}
    curves = run(given.out, given.only or names, **how)
    curves.to_csv(given.out / "curves.csv", index=False)
    draw(curves, given.out / "curves.png")
    print(curves.groupby("network").tail(1)[["network", "train_accuracy", "test_accuracy"]])  # noqa: T201
