"""An oracle that trains cells instead of looking them up in a table."""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from nasgauge.data.storage import Store
from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.results import TRAINED, TrainingSettings
from nasgauge.harness.records.steps import Evaluation
from nasgauge.harness.training.loaded import Loaded, load
from nasgauge.harness.training.machine import Machine
from nasgauge.harness.training.running import Habits, train_unit
from nasgauge.harness.training.units import TrainingUnit
from nasgauge.spaces.architectures import Architecture
from nasgauge.spaces.errors import NasgaugeError


class NothingToSearchOn(NasgaugeError, ValueError):
    """Raised for a data set without validation images."""


class Trainer:
    """Evaluates cells by training them, each once; finished trainings are read from the records in the folder `trained`.

    The cost of an evaluation is the number of epochs of the recipe, and the measured seconds of its training.

    Raises NothingToSearchOn.

    >>> import tempfile
    >>> from nasgauge.spaces.cells import Cell
    >>> from nasgauge.harness.records.provenance import provenance
    >>> loaded = load("made-up", None, Machine(device="cpu", precision="32"))
    >>> recipe = Recipe(name="example", epochs=1, images=64, channels=2, cells=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     trainer = Trainer(Store(Path(folder)), loaded, recipe, 777, provenance())
    ...     evaluation = trainer.evaluate(Cell(("skip_connect",) * 6))
    >>> trainer.column, evaluation.epochs
    ('made-up/example', 1.0)
    """

    def __init__(
        self, store: Store, loaded: Loaded, recipe: Recipe, seed: int, provenance: Mapping[str, object]
    ) -> None:
        if "valid" not in loaded.held_out(recipe):
            raise NothingToSearchOn(
                f"dataset {loaded.name} has no validation images, so it cannot be "
                "searched on; choose cifar10-valid"
            )
        self._store = store
        self._loaded = loaded
        self._recipe = recipe
        self._seed = seed
        self._provenance = provenance

    @property
    def epochs(self) -> float:
        """Training epochs of one evaluation."""
        return float(self._recipe.epochs)

    @property
    def column(self) -> str:
        """Name of the metric, as for table columns: dataset/recipe."""
        return f"{self._loaded.name}/{self._recipe.name}"

    @property
    def warning(self) -> str:
        """A note on how the setting differs from NAS-Bench-201; empty if it does not."""
        return "" if self._loaded.origin == "official" else "splits drawn from a seed, not the official ones"

    @property
    def sha256(self) -> str:
        """SHA-256 of what determines the results, apart from the machine: images, splits, recipe and seed."""
        parts = (self._loaded.images_sha256, self._loaded.origin, str(self._recipe), str(self._seed))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def evaluate(self, cell: Architecture) -> Evaluation:
        """Train a cell, or read the record of its training if it was trained before.

        Raises whatever `train_unit` raises.
        """
        unit = TrainingUnit(cell, self._loaded.name, self._recipe, self._seed)
        record = train_unit(
            self._store.folder / TRAINED,
            unit,
            self._loaded,
            self._provenance,
            habits=Habits(evaluate_every=self._recipe.epochs),
            store=self._store,
        )
        last = record.epochs[-1]
        seconds = sum(epoch.seconds for epoch in record.epochs)
        return Evaluation(last.valid_accuracy, last.test_accuracy, self.epochs, seconds)


@lru_cache(maxsize=2)
def open_trainer(
    store: Store, dataset: str, settings: TrainingSettings, machine: Machine, provenance: str
) -> Trainer:
    """Open a trainer and load its images to the device; cached per process. `provenance` is JSON.

    Raises NothingToSearchOn, ImagesUnavailable, InvalidBatch.
    """
    loaded = load(dataset, Path(settings.images) if settings.images else None, machine)
    return Trainer(store, loaded, settings.recipe, settings.seed, json.loads(provenance))
