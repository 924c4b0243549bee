"""Real training of cells, by a recipe, on the device there is."""

from harness.training.checkpoint import WrongCheckpoint
from harness.training.loop import Training, TrainingDiverged
from harness.training.machine import Machine
from harness.training.trainer import Trainer
from harness.training.units import OtherTraining, TrainingUnit, train_unit

__all__ = [
    "Machine",
    "OtherTraining",
    "Trainer",
    "Training",
    "TrainingDiverged",
    "TrainingUnit",
    "WrongCheckpoint",
    "train_unit",
]
