"""What the values of a table are: columns, and the pairs of columns that a search uses."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Literal, get_args

from nasgauge.spaces.errors import NasgaugeError

Split = Literal["train", "valid", "test", "valtest"]
Metric = Literal["accuracy", "loss", "seconds", "latency", "parameters"]
OfSeeds = Literal["mean", "single", "random"]
Seed = int | OfSeeds


class InvalidColumn(NasgaugeError, ValueError):
    """A column that its text could not name."""


@dataclass(frozen=True, slots=True)
class Column:
    """What the values of a column are.

    >>> Column.parse("cifar10-valid/12/valid/mean/accuracy").seed
    'mean'
    """

    dataset: str
    """The benchmark's key of the training set: `cifar10-valid` is 25,000 images, `cifar10` 50,000."""
    epochs: int | None
    """Length of the training run; None where the source does not state it."""
    split: Split
    """The images it was measured on; `valtest` is validation and test images together."""
    seed: Seed
    """A training seed, `mean` over the seeds of a cell, or `single`: one seed that the source does not name.

    `random` is not stored: it is the value of one of the cell's seeds, drawn at each query.
    """
    metric: Metric = "accuracy"
    """Accuracy in percent; loss is cross-entropy; seconds of one pass over the split, which is one training
    epoch for the split `train`; latency in seconds; parameters in millions."""

    def __post_init__(self) -> None:
        for name, value, words in (
            ("split", self.split, get_args(Split)),
            ("metric", self.metric, get_args(Metric)),
            ("seed", self.seed, () if _is_whole(self.seed) else get_args(OfSeeds)),
        ):
            if words and value not in words:
                number = "a whole number, " if name == "seed" else ""
                raise InvalidColumn(
                    f"the {name} of a column is not {value!r}; choose from {number}{', '.join(words)}"
                )
        if not self.dataset or "/" in self.dataset:
            raise InvalidColumn(f"the dataset of a column is not {self.dataset!r}; give a name without /")
        if self.epochs is not None and not _is_whole(self.epochs):
            raise InvalidColumn(
                f"the epochs of a column are not {self.epochs!r}; give a whole number, or None where it is not stated"
            )

    def __str__(self) -> str:
        epochs = "unstated" if self.epochs is None else self.epochs
        return f"{self.dataset}/{epochs}/{self.split}/{self.seed}/{self.metric}"

    @classmethod
    def parse(cls, text: str) -> "Column":
        """Parse the text that `str` gives.

        Raises ValueError, also as InvalidColumn.
        """
        dataset, epochs, split, seed, metric = text.split("/")
        return cls(
            dataset,
            None if epochs == "unstated" else int(epochs),
            split,  # type: ignore[arg-type]  # checked when the column is made
            int(seed) if seed.isdecimal() else seed,  # type: ignore[arg-type]  # likewise
            metric,  # type: ignore[arg-type]  # likewise
        )


def _is_whole(value: object) -> bool:
    """Whether a value is a whole number from 0, of Python or of NumPy, that its text gives again."""
    return isinstance(value, Integral) and str(value).isdecimal()


@dataclass(frozen=True, slots=True)
class View:
    """The two columns of a search on one dataset: the search metric, and the accuracy reported at the end."""

    search: Column
    report: Column

    @property
    def expected(self) -> Column:
        """The expectation of the search metric: the mean over seeds where one is drawn at each query."""
        return replace(self.search, seed="mean") if self.search.seed == "random" else self.search

    @property
    def warning(self) -> str:
        """What is wrong with this pair, in words; empty where the search metric is a validation accuracy."""
        if self.search == self.report:
            images = "test accuracy" if self.report.split == "test" else f"{self.report.split} figure"
            return f"one value for each cell: the search metric is the reported {images} itself"
        if self.search.split != "valid":
            return f"the search metric is measured on {self.search.split} images"
        return ""


def training_of(dataset: str, split: Split) -> str:
    """The training behind a dataset's accuracy on a split.

    The validation accuracy of CIFAR-10 is of the training on 25,000 images, its test accuracy of the one on
    50,000 (Dong and Yang, 2020, section 2.2); the other datasets have one training.

    >>> training_of("cifar10", "valid"), training_of("cifar10", "test"), training_of("cifar100", "valid")
    ('cifar10-valid', 'cifar10', 'cifar100')
    """
    return "cifar10-valid" if (dataset, split) == ("cifar10", "valid") else dataset


def default_views(columns: Collection[Column]) -> dict[str, View]:
    """The default view of each dataset of the benchmark that `columns` have one for.

    The search metric is the validation accuracy after 200 epochs of one seed drawn at each query, as a single
    training would show it; without single seeds, the mean validation accuracy after 12 epochs. The reported
    accuracy is the mean test accuracy after 200 epochs.
    """
    views = {}
    for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
        report = Column(dataset, 200, "test", "mean")
        drawn = Column(training_of(dataset, "valid"), 200, "valid", "random")
        short = replace(drawn, epochs=12, seed="mean")
        singles = any(isinstance(c.seed, int) and replace(c, seed="random") == drawn for c in columns)
        if report in columns and (singles or short in columns):
            views[dataset] = View(drawn if singles else short, report)
    return views
