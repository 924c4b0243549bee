"""An oracle that trains: a search on it is a search on real training."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from nasgauge.data.images import open_splits
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.results import TrainingSettings
from nasgauge.harness.records.steps import Evaluation
from nasgauge.harness.training.machine import Machine
from nasgauge.harness.training.units import Loaded, TrainingUnit, train_unit
from nasgauge.spaces.block_cells import BlockCell
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import NasgaugeError


class NothingToSearchOn(NasgaugeError, ValueError):
    """A dataset of which no validation images are kept back."""


class Trainer:
    """Trains every cell it is asked about, once: the records in `folder` are its memory.

    A query costs the recipe's epochs, and the seconds that its training took when it was done.

    Raises NothingToSearchOn.
    """

    def __init__(
        self, folder: Path, loaded: Loaded, recipe: Recipe, seed: int, provenance: Mapping[str, object]
    ) -> None:
        if "valid" not in loaded.held_out:
            raise NothingToSearchOn(
                f"dataset {loaded.splits.name} keeps no validation images back, so nothing can be searched "
                "on; choose cifar10-valid"
            )
        self._folder = folder
        self._loaded = loaded
        self._recipe = recipe
        self._seed = seed
        self._provenance = provenance

    @property
    def epochs(self) -> float:
        """What any query costs."""
        return float(self._recipe.epochs)

    @property
    def column(self) -> str:
        """What its figures are, as the columns of a table are named: dataset/recipe."""
        return f"{self._loaded.splits.name}/{self._recipe.name}"

    @property
    def warning(self) -> str:
        """What is not as in the benchmark."""
        return (
            ""
            if self._loaded.splits.origin == "official"
            else "splits drawn from a seed, not the official ones"
        )

    @property
    def sha256(self) -> str:
        """Of everything that its answers depend on but the machine: images, splits, recipe, seed."""
        parts = (self._loaded.images_sha256, self._loaded.splits.origin, str(self._recipe), str(self._seed))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def evaluate(self, cell: Cell | BlockCell) -> Evaluation:
        """Train a cell, or look it up among those that were trained.

        Raises TrainingDiverged, and what `train_unit` raises.
        """
        unit = TrainingUnit(cell, self._loaded.splits.name, self._recipe, self._seed)
        record = train_unit(
            self._folder, unit, self._loaded, self._provenance, evaluate_every=self._recipe.epochs
        )
        last = record.epochs[-1]
        seconds = sum(epoch.seconds for epoch in record.epochs)
        return Evaluation(last.valid_accuracy, last.test_accuracy, self.epochs, seconds)


@lru_cache(maxsize=2)
def open_trainer(
    folder: Path, dataset: str, settings: TrainingSettings, machine: Machine, provenance: str
) -> Trainer:
    """A trainer with its images on the device, kept for the next unit; `provenance` is JSON.

    Raises NothingToSearchOn, ImagesUnavailable, InvalidBatch.
    """
    splits = open_splits(dataset, Path(settings.images) if settings.images else None)
    return Trainer(folder, Loaded(splits, machine), settings.recipe, settings.seed, json.loads(provenance))
