"""Training of cells, for the public API. It needs the extra `train`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from nasgauge.api.progress import progress_bar
from nasgauge.harness.records.provenance import provenance
from nasgauge.harness.records.recipes import recipe_named
from nasgauge.harness.records.trainings import TrainingRecord
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.errors import extras_explained


@extras_explained()
def train(
    cells: Cell | str | Iterable[Cell | str],
    *,
    recipe: str = "nb201-12",
    epochs: int | None = None,
    dataset: str = "cifar10-valid",
    seeds: Iterable[int] = (777,),
    images: str | Path | None = None,
    out: str | Path = "results/trained",
    device: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Train cells by a recipe, each with each seed; finished trainings in `out` are kept.

    Parameters
    ----------
    cells
        One cell or several, as `Cell` or official text.
    recipe, epochs
        `"nb201-12"`, `"nb201-200"`, `"long"` or `"tiny"`; `epochs` replaces the recipe's own number.
    dataset
        `"cifar10-valid"` (25,000 images, 25,000 for validation), `"cifar10"`, `"cifar100"`,
        `"ImageNet16-120"` or `"made-up"`.
    images
        Folder with the dataset's published files; by default CIFAR-10 is downloaded.
    out
        Folder of the records, one for each cell and seed. An interrupted training goes on from its checkpoint.
    device, precision
        `"auto"`, `"cpu"`, `"cuda"`, …; `"auto"`, `"32"`, `"bf16"` or `"16"`.
    workers
        Cells at once; 0 for one on each GPU, or one on a CPU.

    Returns
    -------
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
    from nasgauge.harness.training import Machine, TrainingUnit
    from nasgauge.harness.training.many import PACKAGES, machines, train_units

    chosen = recipe_named(recipe, epochs=epochs)
    several = (cells,) if isinstance(cells, (Cell, str)) else cells
    parsed = dict.fromkeys(Cell.parse(cell) if isinstance(cell, str) else cell for cell in several)
    units = [TrainingUnit(cell, dataset, chosen, seed) for cell in parsed for seed in seeds]
    folder = Path(out)
    todo = [unit for unit in units if unit.finished(folder) is None]
    places = machines(Machine(device=device, precision=precision), workers) if todo else []
    with progress_bar("epochs", len(todo) * chosen.epochs, shown=progress) as bar:
        alone = len(places) == 1
        for unit in train_units(
            folder,
            todo,
            places,
            provenance(*PACKAGES),
            images=None if images is None else Path(images),
            on_step=bar.advance,
        ):
            if not alone:  # other processes trained it
                bar.advance(unit.recipe.epochs)
    return pd.concat([_frame(unit.finished(folder)) for unit in units], ignore_index=True)


def _frame(record: TrainingRecord | None) -> pd.DataFrame:
    assert record is not None  # it was trained just now
    about: dict[str, Any] = {"cell": record.header.cell, "seed": record.header.seed}
    return pd.DataFrame([about | epoch._asdict() for epoch in record.epochs])
