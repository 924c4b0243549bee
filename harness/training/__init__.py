"""Training of cells with a recipe, on a CPU or on GPUs."""

from nasgauge.harness.training.checkpoint import WrongCheckpoint
from nasgauge.harness.training.loop import Training, TrainingDiverged
from nasgauge.harness.training.machine import Machine
from nasgauge.harness.training.trainer import Trainer
from nasgauge.harness.training.units import OtherTraining, TrainingUnit, train_unit

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
