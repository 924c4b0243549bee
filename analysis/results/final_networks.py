"""The papers' final networks on CIFAR-10 and ImageNet: published figures, ours beside them, and what ours cost.

A `confirmed` figure was read in the source named; the others are quoted from memory of the paper.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from nasgauge.analysis.results.published import CONFIRMED, UNCONFIRMED
from nasgauge.analysis.results.tables import Table
from nasgauge.harness.records.datasets import size_of
from nasgauge.harness.records.recipes import RECIPES
from nasgauge.harness.records.trainings import TrainingRecord
from nasgauge.spaces.architectures import PUBLISHED

_NAN: Final = float("nan")
_PARTLY: Final = "error and parameters confirmed"

Kind = Literal["cifar", "mobile", "large"]


@dataclass(frozen=True)
class Speed:
    """A published training speed of a network like those of a table."""

    images_per_second: float
    multiply_adds: float
    """Of a forward pass on one image."""
    source: str

    @property
    def rate(self) -> float:
        """Multiply-adds of forward passes in a second of training."""
        return self.images_per_second * self.multiply_adds


SPEEDS: Final[Mapping[Kind, Speed]] = {
    "cifar": Speed(600 * 50_000 / 86_400, 528.4e6, "DARTS-V2 with 36 channels: 600 epochs in 24 h, one V100"),
    "mobile": Speed(154, 557e6, "P-DARTS (557 M multiply-adds, unconfirmed): 250 epochs in 72 h, eight V100"),
    "large": Speed(
        83, 24.94e9, "PNASNet-5 large in timm's benchmark: 83 images/s, one RTX 3090, mixed precision"
    ),
}
"""Depthwise convolutions on small maps use a device less well, so networks are compared with their like."""


@dataclass(frozen=True)
class Row:
    """A network of a published table; percent, millions, GPU days. NaN where nothing is printed.

    Without an error it is a row of ours alone.
    """

    method: str
    error: float
    sd: float = _NAN
    top5_error: float = _NAN
    parameters: float = _NAN
    multiply_adds: float = _NAN
    days: float = _NAN
    """GPU days of the search."""
    status: str = CONFIRMED
    architecture: str = ""
    """Name in `nasgauge.spaces.architectures.PUBLISHED` of the one that we train; empty: none."""
    recipe: str = ""


@dataclass(frozen=True)
class FinalTable:
    """A published table of final networks."""

    name: str
    title: str
    source: str
    dataset: str
    kind: Kind
    rows: Sequence[Row]
    note: str = ""


_CIFAR_GENOTYPE: Final = (
    "The paper prints 3.8 M parameters; the CIFAR-10 genotype that its authors published has 4,137,526 in the network of "
    "the recipe, and their ImageNet genotype, whose row is added here, 3,779,398."
)

FINAL_TABLES: Final = (
    FinalTable(
        "final-pnas-cifar10",
        "PNAS, Table 3: CIFAR-10",
        "Liu et al. (2018), Table 3",
        "cifar10",
        "cifar",
        (
            Row("NASNet-A", 3.41, parameters=3.3, status=_PARTLY),
            Row("NASNet-B", 3.73, parameters=2.6, status=_PARTLY),
            Row("NASNet-C", 3.59, parameters=3.1, status=_PARTLY),
            Row("Hier-EA", 3.75, 0.12, parameters=15.7, status=UNCONFIRMED),
            Row("AmoebaNet-B", 3.37, 0.04, parameters=2.8, status=UNCONFIRMED),
            Row("AmoebaNet-A", 3.34, 0.06, parameters=3.2),
            Row("PNASNet-5", 3.41, 0.09, parameters=3.2, architecture="pnasnet5", recipe="pnas-cifar"),
        ),
        "No cutout. Standard deviation over 15 trainings (unconfirmed).",
    ),
    FinalTable(
        "final-pnas-mobile",
        "PNAS, Table 4: ImageNet, 224 pixels",
        "Liu et al. (2018), Table 4",
        "imagenet",
        "mobile",
        (
            Row("MobileNet-224", 29.4, _NAN, 10.5, 4.2, 569, status=UNCONFIRMED),
            Row("ShuffleNet 2x", 29.1, _NAN, 10.2, 5.0, 524, status=UNCONFIRMED),
            Row("NASNet-A (4 @ 44)", 26.0, _NAN, 8.4, 5.3, 564, status=_PARTLY),
            Row("AmoebaNet-B (3 @ 62)", 26.0, _NAN, 8.5, 5.3, 555, status=UNCONFIRMED),
            Row("AmoebaNet-A (4 @ 50)", 25.5, _NAN, 8.0, 5.1, 555, status=UNCONFIRMED),
            Row("AmoebaNet-C (4 @ 50)", 24.3, _NAN, 7.6, 6.4, 570, status=_PARTLY),
            Row(
                "PNASNet-5 (3 @ 54)", 25.8, _NAN, 8.1, 5.1, 588, status=_PARTLY, architecture="pnasnet5",
                recipe="pnas-mobile",
            ),
        ),
    ),
    FinalTable(
        "final-pnas-large",
        "PNAS, Table 5: ImageNet, 320 and 331 pixels",
        "Liu et al. (2018), Table 5",
        "imagenet",
        "large",
        (
            Row("ResNeXt-101 (64x4d)", 19.1, _NAN, 4.4, 83.6, 31_500, status=_PARTLY),
            Row("PolyNet", 18.7, _NAN, 4.2, 92.0, 34_700, status=_PARTLY),
            Row("Dual-Path-Net-131", 18.5, _NAN, 4.2, 79.5, 32_000, status=_PARTLY),
            Row("SENet-154", 17.3, _NAN, 3.8, 145.8, 42_300, status="top-1 error confirmed"),
            Row("NASNet-A (6 @ 168)", 17.3, _NAN, 3.8, 88.9, 23_800, status=_PARTLY),
            Row("AmoebaNet-B (6 @ 190)", 17.7, _NAN, 3.9, 84.0, 22_300, status=UNCONFIRMED),
            Row("AmoebaNet-A (6 @ 190)", 17.2, _NAN, 3.9, 86.7, 23_100, status=UNCONFIRMED),
            Row("AmoebaNet-C (6 @ 228)", 16.9, _NAN, 3.7, 155.3, 41_100, status=UNCONFIRMED),
            Row(
                "PNASNet-5 (4 @ 216)", 17.1, _NAN, 3.8, 86.1, 25_000, architecture="pnasnet5", recipe="pnas-large"
            ),
        ),
    ),
    FinalTable(
        "final-tenas-cifar10",
        "TE-NAS, Table 2: CIFAR-10",
        "Chen et al. (2021), Table 2",
        "cifar10",
        "cifar",
        (
            Row("AmoebaNet-A", 3.34, 0.06, parameters=3.2, days=3150),
            Row("PNAS", 3.41, 0.09, parameters=3.2, days=225),
            Row("ENAS", 2.89, parameters=4.6, days=0.5),
            Row("NASNet-A", 2.65, parameters=3.3, days=2000),
            Row("DARTS, 1st order", 3.00, 0.14, parameters=3.3, days=0.4),
            Row(
                "DARTS, 2nd order", 2.76, 0.09, parameters=3.3, days=1.0, architecture="darts-v2", recipe="tenas-cifar"
            ),
            Row("SNAS", 2.85, 0.02, parameters=2.8, days=1.5),
            Row("GDAS", 2.82, parameters=2.5, days=0.17),
            Row("BayesNAS", 2.81, 0.04, parameters=3.4, days=0.2),
            Row("ProxylessNAS", 2.08, parameters=5.7, days=4.0),
            Row("P-DARTS", 2.50, parameters=3.4, days=0.3),
            Row(
                "PC-DARTS", 2.57, 0.07, parameters=3.6, days=0.1, architecture="pc-darts-cifar10",
                recipe="tenas-cifar",
            ),
            Row("SDARTS-ADV", 2.61, 0.02, parameters=3.3, days=1.3),
            Row(
                "TE-NAS", 2.63, 0.064, parameters=3.8, days=0.05, architecture="tenas-cifar10", recipe="tenas-cifar"
            ),
            Row(
                "TE-NAS, ImageNet genotype", _NAN, architecture="tenas-imagenet",
                recipe="tenas-cifar",
            ),
        ),
        _CIFAR_GENOTYPE,
    ),
    FinalTable(
        "final-tenas-imagenet",
        "TE-NAS, Table 3: ImageNet, 224 pixels",
        "Chen et al. (2021), Table 3",
        "imagenet",
        "mobile",
        (
            Row("NASNet-A", 26.0, _NAN, 8.4, 5.3, days=2000),
            Row("AmoebaNet-C", 24.3, _NAN, 7.6, 6.4, days=3150),
            Row("PNAS", 25.8, _NAN, 8.1, 5.1, days=225),
            Row("MnasNet-92", 25.2, _NAN, 8.0, 4.4),
            Row("DARTS, 2nd order", 26.7, _NAN, 8.7, 4.7, days=4.0, architecture="darts-v2", recipe="tenas-imagenet"),
            Row("SNAS", 27.3, _NAN, 9.2, 4.3, days=1.5),
            Row("GDAS", 26.0, _NAN, 8.5, 5.3, days=0.21),
            Row("BayesNAS", 26.5, _NAN, 8.9, 3.9, days=0.2),
            Row("P-DARTS, CIFAR-10", 24.4, _NAN, 7.4, 4.9, days=0.3),
            Row("P-DARTS, CIFAR-100", 24.7, _NAN, 7.5, 5.1, days=0.3),
            Row("PC-DARTS, CIFAR-10", 25.1, _NAN, 7.8, 5.3, days=0.1),
            Row(
                "TE-NAS, CIFAR-10", 26.2, _NAN, 8.3, 6.3, days=0.05, architecture="tenas-cifar10",
                recipe="tenas-imagenet",
            ),
            Row(
                "PC-DARTS, ImageNet", 24.2, _NAN, 7.3, 5.3, days=3.8, architecture="pc-darts-imagenet",
                recipe="tenas-imagenet",
            ),
            Row("ProxylessNAS-GPU", 24.9, _NAN, 7.5, 7.1, days=8.3),
            Row(
                "TE-NAS, ImageNet", 24.5, _NAN, 7.5, 5.4, days=0.17, architecture="tenas-imagenet",
                recipe="tenas-imagenet",
            ),
        ),
        "The CIFAR-10 genotype has 5.9 M parameters with the recipe's 48 channels, and the printed 6.3 M with 50.",
    ),
)  # fmt: skip
"""The tables of both papers."""


def final_table(
    published: FinalTable,
    sizes: Mapping[tuple[str, str], tuple[int, int]],
    records: Sequence[TrainingRecord] = (),
    rate: float | None = None,
) -> Table:
    """A published table, with our row below each network that we train.

    `sizes` are parameters and multiply-adds by names of architecture and recipe. `records` are those of our trainings.
    Our rows without a finished training print the command that fills them. Their GPU hours are expected at `rate`
    forward multiply-adds a second of training, that of the table's kind in `SPEEDS` by default.
    """
    rows = []
    for row in published.rows:
        if not np.isnan(row.error):
            rows.append(_theirs(row, published.source))
        if row.architecture:
            size = sizes[row.architecture, row.recipe]
            rows.append(_ours(row, published, size, records, rate or SPEEDS[published.kind].rate))
    speed = f"{rate:.3g} multiply-adds/s, as given" if rate else SPEEDS[published.kind].source
    return Table(
        published.name,
        published.title,
        pd.DataFrame(rows),
        {"M parameters": 2, "M multiply-adds": 0, "GPU days": 2, "GPU hours": 0},
        f"{published.note} error: top-1, percent of test images (ImageNet: validation); sd: over trainings. GPU days: of "
        f"the search. GPU hours: of a training; expected where there is none, at the speed of {speed}. confirmed figures "
        "were read in a copy of the paper or of a paper that quotes it, the others are quoted from memory.".strip(),
    )


def _theirs(row: Row, source: str) -> dict[str, object]:
    return {
        "method": row.method,
        "from": "published",
        "error": row.error,
        "sd": row.sd,
        "top-5 error": row.top5_error,
        "M parameters": row.parameters,
        "M multiply-adds": row.multiply_adds,
        "GPU days": row.days,
        "GPU hours": _NAN,
        "status": f"{source}; {row.status}",
    }


def _ours(
    row: Row, published: FinalTable, size: tuple[int, int], records: Sequence[TrainingRecord], rate: float
) -> dict[str, object]:
    text = str(PUBLISHED[row.architecture])
    found = [
        record
        for record in records
        if record.finished
        and (record.header.cell, record.header.dataset, record.header.recipe.name)
        == (text, published.dataset, row.recipe)
        and _is_whole(record, published.dataset)
    ]
    errors = 100 - np.array([_last(record, "accuracy") for record in found])
    top5 = 100 - np.array([_last(record, "top5") for record in found])
    spent = [_gpu_hours(record) for record in found if record.header.device == "cuda"]
    parameters, multiply_adds = size
    recipe = RECIPES[row.recipe]
    expected = recipe.epochs * size_of(published.dataset).images * multiply_adds / rate / 3600
    images = " --images DIR" if published.dataset == "imagenet" else ""
    command = f"nasgauge train {row.architecture} -d {published.dataset}{images} -r {row.recipe}"
    return {
        "method": row.architecture,
        "from": "ours",
        "error": errors.mean() if found else _NAN,
        "sd": errors.std(ddof=1) if len(found) > 1 else _NAN,
        "top-5 error": top5.mean() if found else _NAN,
        "M parameters": parameters / 1e6,
        "M multiply-adds": multiply_adds / 1e6,
        "GPU days": _NAN,
        "GPU hours": (np.mean(spent) if spent else _NAN) if found else expected,
        "status": f"measured, n = {len(found)}, {found[0].header.device}"
        if found
        else f"not trained: {command}",
    }


def _gpu_hours(record: TrainingRecord) -> float:
    """Hours of all its GPUs together."""
    return record.header.processes * sum(epoch.seconds for epoch in record.epochs) / 3600


def _is_whole(record: TrainingRecord, dataset: str) -> bool:
    """Whether a training had all classes, which only a tree of photographs may lack."""
    size = size_of(dataset)
    return size.side is not None or record.header.classes == size.classes


def _last(record: TrainingRecord, what: Literal["accuracy", "top5"]) -> float:
    """A metric of the last epoch on test images, or where there are none on validation images."""
    last = record.epochs[-1]
    test = float(getattr(last, f"test_{what}"))
    return test if test == test else float(getattr(last, f"valid_{what}"))
