"""Training of cells with a recipe, on a CPU or on GPUs."""

from nasgauge.harness.training.checkpoint import WrongCheckpoint
from nasgauge.harness.training.loaded import load
from nasgauge.harness.training.loop import Training, TrainingDiverged
from nasgauge.harness.training.machine import Machine
from nasgauge.harness.training.running import Habits, evaluate_unit, train_unit
from nasgauge.harness.training.trainer import Trainer
from nasgauge.harness.training.units import OtherTraining, TrainingUnit

__all__ = [
    "Habits",
    "Machine",
    "OtherTraining",
    "Trainer",
    "Training",
    "TrainingDiverged",
    "TrainingUnit",
    "WrongCheckpoint",
    "evaluate_unit",
    "load",
    "train_unit",
]
