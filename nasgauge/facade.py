"""The interface of `nas-bench-201` and `nats-bench` on our tables, for scripts that were written for it.

Instead of `from nas_201_api import NASBench201API` or `from nats_bench import create`:

    from nasgauge.facade import NASBench201API, create

Names, arguments and numbers are those of `nats-bench` 1.8. Three things differ: an entry that the table does not
have raises `NotInTable`; random trials are drawn from a generator of the object, so that two scripts with the same
seed see the same draws; and `find_best` always looks at all cells. What is missing is listed in
`nasgauge.indices.MISSING`, and raises `NotOffered` with what to use instead.

>>> api = NASBench201API()
>>> info = api.get_more_info(11, "cifar100", hp="200", is_random=False)
>>> round(info["valid-accuracy"], 3), round(info["test-accuracy"], 3)
(67.453, 67.607)
"""

import random
from collections.abc import Sequence
from typing import Final, Literal

from nasgauge.data.columns import training_of
from nasgauge.data.curves import Curves
from nasgauge.data.importers import SETS
from nasgauge.data.sources import DEFAULT_TABLE, open_curves, open_table
from nasgauge.data.tables import AccuracyTable, Column, NotInTable, Split
from nasgauge.indices import Indices
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.costs import TASKS, multiply_adds, parameters
from nasgauge.trials import Training, Trials, mean

Info = dict[str, float | str | None]

_COMMENT: Final = (
    "In this dict, train-loss/accuracy/time is the metric on the train{} of CIFAR-10. The "
    "test-loss/accuracy/time is the performance of the CIFAR-10 test set after training on the train{} by {} "
    "epochs. The per-time and total-time indicate the per epoch and total time costs, respectively."
)


class NASBench201API(Indices):
    """The benchmark behind the interface of `nats-bench`.

    Takes the name or path of a table, or a table; `verbose` is accepted and ignored.
    """

    def __init__(
        self,
        file_path_or_dict: str | AccuracyTable = DEFAULT_TABLE,
        verbose: bool = False,  # noqa: ARG002 - of the old signature
        *,
        curves: Curves | None = None,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__(open_table(file_path_or_dict))
        if not isinstance(file_path_or_dict, AccuracyTable):
            curves = curves or open_curves(file_path_or_dict)
        self._trials = Trials(self.table, curves)
        self._rng = rng or random.Random(0)
        self._used_time = 0.0

    @property
    def used_time(self) -> float:
        """Seconds that `simulate_train_eval` has charged."""
        return self._used_time

    def reset_time(self) -> None:
        """Set `used_time` to 0."""
        self._used_time = 0.0

    def random(self) -> int:
        """A random index."""
        return self._rng.randint(0, len(self) - 1)

    def show(self, index: int = -1) -> None:
        """Print what is known of a cell after 12 and after 200 epochs; of all cells for -1.

        Raises NotInTable.
        """
        for place in range(len(self)) if index == -1 else [index]:
            for hp in ("12", "200"):
                print(f"{hp} epochs, {self.query_info_str_by_arch(place, hp)}")  # noqa: T201 - what it is for

    def query_by_index(self, arch_index: int, dataname: str, hp: str = "12") -> dict[int, Training]:
        """The trainings of a cell on a dataset by seed.

        Raises NotInTable.

        >>> trainings = NASBench201API().query_by_index(11, "cifar100", "200")
        >>> {seed: round(one.get_eval("x-valid")["accuracy"], 2) for seed, one in trainings.items()}
        {777: 67.72, 888: 68.18, 999: 66.46}
        """
        cell, epochs = self._cell(arch_index), int(hp)
        seeds = self._trials.seeds(cell, dataname, epochs)
        if not seeds:
            raise NotInTable(
                f"table {self.table.name} has no single trials of {dataname} after {hp} epochs; use get_more_info "
                "with is_random=False"
            )
        return {seed: Training(self._trials, cell, dataname, epochs, seed) for seed in seeds}

    def find_best(
        self,
        dataset: str,
        metric_on_set: str,
        flop_max: float | None = None,
        param_max: float | None = None,
        hp: str = "12",
    ) -> tuple[int, float]:
        """Index and mean accuracy of the best cell with at most so many millions of multiply-adds and parameters.

        `metric_on_set`: `train`, `valid`, `test`, or a set such as `ori-test`.

        Raises NotInTable.

        >>> index, accuracy = NASBench201API().find_best("cifar10", "test", hp="200")
        >>> index, round(accuracy, 2)
        (6111, 94.37)
        """
        training = training_of(dataset, "valid") if metric_on_set == "valid" else dataset
        if training not in SETS:
            raise NotInTable(f"unknown dataset {dataset!r}; choose from {', '.join(SETS)}")
        split = SETS[training].get(metric_on_set, metric_on_set)
        if split not in ("train", *SETS[training].values()):
            raise NotInTable(
                f"{training} has no set {metric_on_set!r}; choose from train, {', '.join(SETS[training])}"
            )
        column = Column(training, int(hp), split, "mean")
        cell, accuracy = self._trials.best(column, flop_max, param_max)
        return self.query_index_by_arch(str(cell)), accuracy

    def query_by_arch(self, arch: object, hp: str = "12") -> str:
        """All final values of a cell as text; see `query_info_str_by_arch`."""
        return self.query_info_str_by_arch(arch, hp)

    def query_info_str_by_arch(self, arch: object, hp: str = "12") -> str:
        """All final values of a cell, means over seeds, in the layout of `nats-bench`.

        Raises NotInTable.
        """
        index = self.query_index_by_arch(arch)
        names = [name for name in SETS if self._trials.seeds(self._cell(index), name, int(hp))]
        lines = [self.arch(index), f"datasets : {names}, extra-info : arch-index={index}"]
        for name in names:
            costs = self.get_cost_info(index, name, hp)
            latency = costs["latency"]
            shown = f"{latency * 1000:.2f}" if latency else None
            lines.append(
                f"{name:14s} FLOP={costs['flops']:6.2f} M, Params={costs['params']:.3f} MB, latency={shown} ms."
            )
            lines.append(f"{name:14s} {', '.join(self._sets(index, name, int(hp)))}")
        return "\n".join(lines)

    def _sets(self, index: int, dataset: str, epochs: int) -> list[str]:
        cell = self._cell(index)
        shown: dict[Split, str] = {"train": "train", "valid": "valid", "test": "test"}
        if dataset == "cifar10":
            shown = {"train": "train", "test": "test "}
        elif dataset == "cifar10-valid":
            shown = {"train": "train", "valid": "valid"}
        parts = []
        for split, label in shown.items():
            seeds = self._trials.seeds(cell, dataset, epochs, split)
            try:
                found = self._trials.figures(cell, dataset, epochs, split, None, seeds)
            except NotInTable:
                continue
            values = [("loss = {:.3f}", found["loss"]), ("top1 = {:.2f}%", found["accuracy"])]
            known = " & ".join(text.format(value) for text, value in values if value is not None)
            parts += [f"{label} : [{known}]"] if known else []
        return parts

    def get_more_info(
        self,
        index: object,
        dataset: str,
        iepoch: int | None = None,
        hp: str | int = "12",
        is_random: bool | int = True,
    ) -> Info:
        """Accuracy, loss and seconds on each set of images, after epoch `iepoch` (from 0), or the last.

        `is_random`: True draws one of the cell's trials, False averages them, a number is a seed.

        Raises NotInTable.
        """
        place, epochs, averaged = self.query_index_by_arch(index), int(hp), is_random is False
        known = self._trials.seeds(self._cell(place), dataset, epochs)
        if is_random is True:
            if not known:
                raise NotInTable(
                    f"table {self.table.name} has no single trials of {dataset} after {hp} epochs; "
                    "ask with is_random=False"
                )
            seeds: Sequence[int] = [self._rng.choice(known)]
        elif averaged:
            seeds = ()
        else:
            if is_random not in known:
                raise NotInTable(f"{self.arch(place)} has no seed {is_random} on {dataset}; it has {known}")
            seeds = [is_random]
        total = (epochs if iepoch is None else iepoch + 1) or 1
        info: Info = {}
        named: tuple[tuple[str, Split], ...] = (
            ("train", "train"),
            ("valid", "valid"),
            ("test", "test"),
            ("valtest", "valtest"),
        )
        missing: NotInTable | None = None
        for name, split in named:
            if split != "train" and split not in SETS[dataset].values():
                continue
            chosen = self._trials.seeds(self._cell(place), dataset, epochs, split) if averaged else seeds
            try:
                figures = self._trials.figures(self._cell(place), dataset, epochs, split, iepoch, chosen)
            except NotInTable as error:  # `nats-bench` leaves such keys out
                missing = error
                continue
            if split != "train" and figures["accuracy"] is None:
                continue
            seconds = figures["seconds"]
            info[f"{name}-loss"] = figures["loss"]
            info[f"{name}-accuracy"] = figures["accuracy"]
            info[f"{name}-per-time"] = None if seconds is None else seconds / total
            info[f"{name}-all-time"] = seconds
            if name == "train" and dataset.startswith("cifar10") and dataset != "cifar100":
                images = (" set", " set") if dataset == "cifar10-valid" else ("+valid sets", "+valid sets")
                info["comment"] = _COMMENT.format(*images, hp)
        if all(value is None for key, value in info.items() if key.endswith("accuracy")):
            raise missing or NotInTable(
                f"table {self.table.name} has no accuracy of {dataset} after {hp} epochs; not in it: "
                f"{self.table.limits}"
            )
        return info

    def get_cost_info(self, index: int, dataset: str, hp: str = "12") -> dict[str, float | None]:
        """Multiply-adds and parameters in millions, latency and training and evaluation seconds.

        Raises NotInTable.
        """
        seeds = self._trials.seeds(self._cell(index), dataset, int(hp))
        chosen: Sequence[int | Literal["mean"]] = seeds or ("mean",)
        cell, epochs = Cell.parse(self.arch(index)), int(hp)
        count = len(chosen)
        latencies = [
            self._trials.measured(cell, Column(dataset, epochs, "test", seed, "latency")) for seed in chosen
        ]
        known = [value for value in latencies if value is not None]
        costs: dict[str, float | None] = {
            "flops": mean([multiply_adds(cell, dataset) / 1e6] * count),
            "params": mean([parameters(cell, dataset) / 1e6] * count),
            "latency": mean(known) if known else None,
        }
        splits: list[tuple[str, Split]] = [("train", "train"), *SETS[dataset].items()]
        for name, split in splits:
            each = [
                self._trials.measured(cell, Column(dataset, epochs, split, seed, "seconds"))
                for seed in chosen
            ]
            paid = [[value] * epochs for value in each if value is not None]
            costs[f"T-{name}@epoch"] = mean([mean(values) for values in paid]) if paid else None
            costs[f"T-{name}@total"] = mean([sum(values) for values in paid]) if paid else None
        return costs

    def get_latency(self, index: int, dataset: str, hp: str = "12") -> float | None:
        """Seconds of the network on a batch of 256 images; None where the table does not have it."""
        return self.get_cost_info(index, dataset, hp)["latency"]

    def simulate_train_eval(
        self,
        arch: object,
        dataset: str,
        iepoch: int | None = None,
        hp: str = "12",
        account_time: bool = True,
    ) -> tuple[float, float | None, float, float]:
        """Validation accuracy, latency, seconds charged for training and one evaluation, seconds so far.

        The accuracy is of a random trial, or the mean where the table has no single trials. The seconds are the
        table's; those of an evaluation are left out where it does not have them, as in `nb201`.

        Raises NotInTable.
        """
        index = self.query_index_by_arch(arch)
        training = training_of(dataset, "valid")
        if training not in TASKS or dataset == "cifar10-valid":
            raise NotInTable(f"unknown dataset {dataset!r}; choose from cifar10, cifar100, ImageNet16-120")
        drawn = bool(self._trials.seeds(self._cell(index), training, int(hp)))
        info = self.get_more_info(index, training, iepoch, hp, is_random=drawn)
        if "valid-accuracy" in info:
            accuracy, held_out = info["valid-accuracy"], info["valid-per-time"]
        else:  # 200-epoch curves are of validation and test images together, as in `nats-bench`
            accuracy = info.get("valtest-accuracy")
            last = self.get_more_info(index, training, None, hp, is_random=drawn)
            held_out = last.get("valid-per-time")
        spent = info.get("train-all-time")
        if not isinstance(accuracy, float):
            raise NotInTable(
                f"table {self.table.name} has no validation accuracy of {dataset} after {hp} epochs"
            )
        if not isinstance(spent, float):
            raise NotInTable(f"table {self.table.name} has no training seconds of {dataset}")
        cost = spent + (held_out if isinstance(held_out, float) else 0.0)
        if account_time:
            self._used_time += cost
        return accuracy, self.get_latency(index, dataset, hp), cost, self._used_time


def create(
    file_path_or_dict: str | AccuracyTable,
    search_space: str = "tss",
    fast_mode: bool = True,  # noqa: ARG001 - of the old signature; every table is fast
    verbose: bool = False,
) -> NASBench201API:
    """What `nats_bench.create` gives, for the topology space.

    Raises NotInTable.
    """
    if search_space not in ("tss", "topology"):
        raise NotInTable(f"search space {search_space!r} is not here; choose tss")
    return NASBench201API(file_path_or_dict, verbose)
