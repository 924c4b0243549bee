"""Training of cells, for the public API. It needs the extra `train`."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from math import isnan
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pandas as pd

from nasgauge.api.progress import Bar, progress_bar
from nasgauge.data.storage import Store
from nasgauge.harness.records.provenance import provenance
from nasgauge.harness.records.recipes import Recipe, recipe_named
from nasgauge.harness.records.results import SETTINGS_FILE, OtherCampaign
from nasgauge.harness.records.trainings import Epoch, TrainingRecord
from nasgauge.spaces.architectures import Architecture, architecture
from nasgauge.spaces.errors import extras_explained

if TYPE_CHECKING:
    from nasgauge.harness.training import Habits, Machine, TrainingUnit
    from nasgauge.harness.training.loop import Step
    from nasgauge.harness.training.throughput import Throughput

_A_LINE: float = 1.0
"""Seconds between lines of progress."""


@extras_explained()
def train(
    cells: Architecture | str | Iterable[Architecture | str],
    *,
    recipe: str | Recipe = "nb201-12",
    epochs: int | None = None,
    dataset: str = "cifar10-valid",
    seeds: Iterable[int] = (777,),
    images: str | Path | None = None,
    out: str | Path = "results/trained",
    device: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    engine: str = "local",
    storage: str = "",
    machine: "Machine | None" = None,
    habits: "Habits | None" = None,
    skip_damaged: bool = False,
    progress: bool = True,
) -> pd.DataFrame:
    """Train cells by a recipe, each with each seed; finished trainings in `out` are kept.

    Parameters
    ----------
    cells
        One architecture or several: a `Cell`, `BlockCell` or `Genotype`, its text, or a name such as `"pnasnet5"`.
    recipe, epochs
        A name, such as `"nb201-12"`, `"long"`, `"tiny"`, `"pnas-cifar"` or `"tenas-imagenet"`, whose number of epochs
        `epochs` replaces; or a `Recipe`.
    dataset
        `"cifar10-valid"` (25,000 images, 25,000 for validation), `"cifar10"`, `"cifar100"`,
        `"ImageNet16-120"`, `"imagenet"` or `"made-up"`.
    images
        Folder with the dataset's published files; by default CIFAR-10 is downloaded. For `"imagenet"`, the folder
        that holds `train` and `val`.
    out
        Folder of the records, one for each cell and seed. An interrupted training goes on from its checkpoint.
    device, precision
        `"auto"`, `"cpu"`, `"cuda"`, …; `"auto"`, `"32"`, `"bf16"` or `"16"`.
    workers
        Cells at once; 0 for one on each GPU, or one on a CPU.
    engine
        Where cells are trained, as for `bench`; each is a task, and goes on from its checkpoint if its process ends. On
        GPUs, a task of `"ray"` or `"slurm"` asks for one, unless its options say otherwise.
    storage
        Where the files are kept, as for `bench`; the records are copied to `out`.
    machine
        `nasgauge.harness.training.Machine`, which also sets threads, processes, images on a device, reading processes
        and compilation; in place of `device` and `precision`.
    habits
        `nasgauge.harness.training.Habits`: how often to evaluate and to write checkpoints.
    skip_damaged
        Leave out image files that cannot be decoded instead of refusing them.

    Returns
    -------
    pandas.DataFrame
        One row for each epoch: `cell`, `seed`, `epoch`, `learning_rate`, losses (cross-entropy, nats), accuracies
        (percent), `images_per_second`, `seconds`, `peak_memory` (bytes). NaN where an epoch was not evaluated.

    Raises
    ------
    nasgauge.NasgaugeError
        InvalidCell, ImagesUnavailable, TrainingDiverged and others.

    Examples
    --------
    >>> import nasgauge as ng, tempfile
    >>> cell = "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     curve = ng.train(cell, recipe="tiny", epochs=1, dataset="made-up", out=folder, progress=False)
    >>> curve["epoch"].tolist()
    [1]
    """
    from nasgauge.harness.training import Habits, Machine
    from nasgauge.harness.training.loaded import identity_here
    from nasgauge.harness.training.machine import is_first_process
    from nasgauge.harness.training.many import PACKAGES, engine_of_trainings, machines, train_units

    folder = Path(out)
    if (folder / SETTINGS_FILE).is_file():
        raise OtherCampaign(f"{folder} holds the results of searches; give another folder for trainings")
    units = _units(cells, recipe, epochs, dataset, seeds)
    Store.of(folder, storage).bring()
    source = None if images is None else Path(images)
    begun = any(unit.record(folder).is_file() for unit in units)
    which = identity_here(dataset, source, skip_damaged=skip_damaged) if begun else None
    records = {unit: unit.finished(folder, which) for unit in units}
    todo = [unit for unit, record in records.items() if record is None]
    places = []
    if todo:
        most = len(units) if engine == "local" else None
        places = machines(machine or Machine(device=device, precision=precision), workers, most)
    elsewhere = engine_of_trainings(engine, places[0]) if todo and engine != "local" else None
    amount = sum(unit.recipe.epochs for unit in todo)
    with progress_bar("epochs", amount, shown=progress and is_first_process()) as bar:
        bar.say(
            f"{len(units)} trainings on {dataset}, {len(units) - len(todo)} are done; records in {folder}"
        )
        pace = _Pace(bar, amount)
        with _watched(bar, folder, todo, alone=len(places) == 1 and elsewhere is None):
            for unit, record in train_units(
                folder,
                todo,
                places,
                provenance(*PACKAGES),
                images=source,
                skip_damaged=skip_damaged,
                habits=habits or Habits(),
                on_step=pace.step,
                on_epoch=lambda epoch: bar.say(_line(epoch)),
                engine=elsewhere,
                storage=storage,
            ):
                records[unit] = record
                bar.say(f"{unit.name} is done")
    return pd.concat([_frame(record) for record in records.values()], ignore_index=True)


@extras_explained()
def evaluate(
    weights: Path,
    cell: Architecture | str,
    *,
    recipe: str | Recipe,
    epochs: int | None = None,
    dataset: str,
    images: Path | None = None,
    machine: "Machine | None" = None,
    skip_damaged: bool = False,
) -> pd.DataFrame:
    """Evaluate weights that `train` wrote, or a checkpoint of it.

    Returns
    -------
    pandas.DataFrame
        One row for each part of the dataset that is held out: `part`, `loss` (cross-entropy, nats), `top1` and `top5`
        (percent).

    Raises
    ------
    nasgauge.NasgaugeError
        WrongCheckpoint for weights of another architecture, recipe or dataset, and others.
    """
    from nasgauge.harness.training import Machine, evaluate_unit, load

    (unit,) = _units(cell, recipe, epochs, dataset, [0])
    loaded = load(dataset, images, machine or Machine(), skip_damaged=skip_damaged)
    found = evaluate_unit(weights, unit, loaded)
    return pd.DataFrame(
        [(part, *values) for part, values in found.items()], columns=["part", "loss", "top1", "top5"]
    )


@extras_explained()
def measure_throughput(
    cell: Architecture | str,
    *,
    recipe: str | Recipe,
    epochs: int | None = None,
    dataset: str,
    machine: "Machine",
    seconds: float,
) -> "Throughput":
    """Speed of the training steps of a cell on random images; see `nasgauge.harness.training.throughput`.

    Raises
    ------
    nasgauge.NasgaugeError
        InvalidCell, UnknownDataset, InvalidMachine and others.
    """
    from nasgauge.harness.training.machine import is_first_process
    from nasgauge.harness.training.throughput import throughput

    (unit,) = _units(cell, recipe, epochs, dataset, [0])
    with progress_bar("seconds", seconds, shown=is_first_process()) as bar:
        return throughput(unit, machine, seconds, _Clock(bar, seconds).step)


def _units(
    cells: Architecture | str | Iterable[Architecture | str],
    recipe: str | Recipe,
    epochs: int | None,
    dataset: str,
    seeds: Iterable[int],
) -> "list[TrainingUnit]":
    from nasgauge.harness.training import TrainingUnit

    chosen = recipe_named(recipe, epochs=epochs) if isinstance(recipe, str) else recipe
    several = (cells,) if isinstance(cells, (Architecture, str)) else cells
    parsed = dict.fromkeys(architecture(cell) if isinstance(cell, str) else cell for cell in several)
    numbers = tuple(seeds)
    return [TrainingUnit(cell, dataset, chosen, seed) for cell in parsed for seed in numbers]


class _Pace:
    """Advances a bar of epochs with every step, and reports speed, remaining time and memory once a second."""

    def __init__(self, bar: Bar, amount: float) -> None:
        self._bar = bar
        self._left = amount
        self._images = 0
        self._since = self._last = time.monotonic()

    def _done(self, step: "Step", _seconds: float) -> float:
        """What is done since the last step."""
        return step.share

    def _remaining(self, step: "Step", rate: float) -> float:
        """Seconds, at so many images a second."""
        return self._left * step.images / step.share / rate

    def step(self, step: "Step") -> None:
        from nasgauge.harness.training.machine import peak_memory

        now = time.monotonic()
        done = self._done(step, now - self._last)
        self._last = now
        self._bar.advance(done)
        self._left -= done
        self._images += step.images
        if step.sums is None or now - self._since < _A_LINE:
            return
        rate = self._images / (now - self._since)
        left = timedelta(seconds=max(round(self._remaining(step, rate)), 0))
        memory = peak_memory(step.sums.device) / 1e9
        self._bar.status(
            f"epoch {step.epoch}, step {step.step}/{step.steps}: loss {step.loss:.3f}, {rate:,.0f} images/s, {left} left, "
            f"{memory:.1f} GB"
        )
        self._images, self._since = 0, now


class _Clock(_Pace):
    """The same for a bar of seconds."""

    def _done(self, _step: "Step", seconds: float) -> float:
        return seconds

    def _remaining(self, _step: "Step", _rate: float) -> float:
        return self._left


@contextmanager
def _watched(bar: Bar, folder: Path, units: "Sequence[TrainingUnit]", *, alone: bool) -> Iterator[None]:
    """Meanwhile, advance the bar by the records that other processes write, if there are others."""
    over = Event()

    def watch() -> None:
        seen = 0
        while not over.wait(_A_LINE):
            done = sum(unit.epochs_done(folder) for unit in units)
            bar.advance(done - seen)
            seen = done

    watcher = Thread(target=watch, daemon=True)
    if not alone and units:
        watcher.start()
    try:
        yield
    finally:
        over.set()


def _line(epoch: Epoch) -> str:
    parts = [f"epoch {epoch.epoch}: train loss {epoch.train_loss:.3f}, accuracy {epoch.train_accuracy:.2f} %"]
    for part in ("valid", "test"):
        top1, top5 = getattr(epoch, f"{part}_accuracy"), getattr(epoch, f"{part}_top5")
        if not isnan(top1):
            parts.append(f"{part} {top1:.2f} %" + ("" if isnan(top5) else f" (top-5 {top5:.2f} %)"))
    return f"{', '.join(parts)} ({epoch.images_per_second:,.0f} images/s)"


def _frame(record: TrainingRecord | None) -> pd.DataFrame:
    assert record is not None  # it was trained just now
    about: dict[str, Any] = {"cell": record.header.cell, "seed": record.header.seed}
    return pd.DataFrame([about | epoch._asdict() for epoch in record.epochs])
