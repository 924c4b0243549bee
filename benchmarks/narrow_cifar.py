"""The papers' CIFAR networks in narrow width on all of CIFAR-10, and a random cell beside them.

    python benchmarks/narrow_cifar.py --epochs 12 --out results/narrow     # about two hours on two idle cores
    python benchmarks/narrow_cifar.py --smoke                              # 512 images, one epoch

Each network is trained by its paper's recipe, with fewer channels and epochs, no drop-path and the same budget. The
random cell stands in the network of PNASNet-5. Accuracies of every epoch are in the records; rerun to resume.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import nasgauge as ng
from nasgauge.harness.records.recipes import RECIPES, Recipe
from nasgauge.spaces.architectures import Architecture, architecture
from nasgauge.spaces.block_spaces import BlockSpace

CHANNELS = 8
"""Of the first stage; the papers have 36 and 48."""
SEED = 777


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


def run(out: Path, *, epochs: int, images: int | None = None, dataset: str = "cifar10-valid") -> pd.DataFrame:
    """Train all, and return the validation accuracy of every epoch, a column for each."""
    curves = {
        name: ng.train(cell, recipe=recipe, dataset=dataset, seeds=[SEED], out=out)
        for name, (cell, recipe) in trainings(epochs, images).items()
    }
    return pd.DataFrame({name: curve.set_index("epoch")["valid_accuracy"] for name, curve in curves.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("results/narrow"))
    parser.add_argument("--smoke", action="store_true", help="512 images for one epoch")
    given = parser.parse_args()
    how = {"epochs": 1, "images": 512} if given.smoke else {"epochs": given.epochs}
    print(run(given.out, **how).round(2).to_string())  # noqa: T201
