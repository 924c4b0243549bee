"""Other studies for a report: files of scores, of predictor trials and of TE-NAS searches, joined with the table."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import nasgauge.harness
import nasgauge.searchers

if TYPE_CHECKING:
    import pandas as pd

    from nasgauge.analysis.report.studies import Extras, Pruning
    from nasgauge.analysis.statistics.ranks import Study
    from nasgauge.data.tables import AccuracyTable

SHIPPED_SCORES: Final = Path(*nasgauge.harness.__path__) / "proxies" / "scores.parquet"
SHIPPED_SEARCHES: Final = Path(*nasgauge.searchers.__path__) / "tenas-paper.json"


class UnreadableStudy(ValueError):
    """A file that holds no such study."""


def gather(
    folder: Path, scores: str, trials: str, pruning: str, trained: Path | None = None, curves: str = ""
) -> "Extras":
    """Read what was asked for; an empty text asks for nothing.

    Raises UnreadableStudy, NoTrainings, DamagedTraining; NotInTable and OtherCampaign where the campaign's
    table or folder is the trouble.
    """
    import pandas as pd

    from nasgauge.analysis.report.studies import Extras
    from nasgauge.cli.bridge import gather_bridge
    from nasgauge.data.sources import open_table
    from nasgauge.harness.records.results import settings_of

    settings = settings_of(folder)
    return Extras(
        ranks=_studies(open_table(settings.table), settings.datasets, _path(scores, SHIPPED_SCORES))
        if scores
        else (),
        trials=pd.concat([_trials(Path(text)) for text in trials.split(",")]) if trials else None,
        prunings=_prunings(_path(pruning, SHIPPED_SEARCHES)) if pruning else (),
        bridge=gather_bridge(trained, settings.table, curves) if trained else None,
    )


def _path(text: str, shipped: Path) -> Path:
    if text != "shipped":
        return Path(text)
    if not shipped.is_file():
        raise UnreadableStudy("nothing of that kind ships with this version; give a file")
    return shipped


def _frame(path: Path) -> "pd.DataFrame":
    import pandas as pd

    if not path.is_file():
        raise UnreadableStudy(f"there is no file {path}")
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError, KeyError) as error:
        raise UnreadableStudy(
            f"{path} is no .parquet and no .csv table: {str(error).splitlines()[0]}"
        ) from error


def _studies(table: "AccuracyTable", datasets: tuple[str, ...], path: Path) -> "list[Study]":
    """Scores of cells beside the table's figures, on each dataset; FLOPs and parameters always among them."""
    import numpy as np

    from nasgauge.analysis.statistics.ranks import Study
    from nasgauge.spaces.costs import TASKS, multiply_adds, parameters
    from nasgauge.spaces.nb201 import NB201
    from nasgauge.spaces.ranks import rank_sum

    frame = wide(_frame(path), path)
    ranks = frame.index.to_numpy()
    space = NB201()
    studies = []
    for dataset in datasets:
        report = table.view(dataset).report
        images = report.dataset if report.dataset in TASKS else "cifar10"  # the order of cells is the same
        own = frame[frame["dataset"] == dataset] if "dataset" in frame else frame
        ranks = own.index.to_numpy()
        named = {str(name): own[name].to_numpy(dtype=np.float64) for name in own if name != "dataset"}
        if {"kappa", "regions"} <= set(named):
            named["rank sum"] = rank_sum(named["kappa"], named["regions"])
        named["flops"] = np.array([multiply_adds(space[rank], images) for rank in ranks], dtype=np.float64)
        named["params"] = np.array([parameters(space[rank], images) for rank in ranks], dtype=np.float64)
        single = [
            table.column(column)
            for column in table.columns
            if isinstance(column.seed, int) and replace(column, seed=report.seed) == report
        ]
        seeds = np.stack(single)[:, ranks] if single else np.empty((0, len(ranks)))
        studies.append(
            Study(
                dataset,
                table.column(report)[ranks],
                named,
                seeds,
                [str(space[rank]) for rank in ranks],
                str(report),
            )
        )
    return studies


def wide(frame: "pd.DataFrame", path: Path) -> "pd.DataFrame":
    """A row for each cell, by its rank, and a column for each score.

    Takes columns `cell` (official text) or `rank`, and scores as further columns; or, as scores of proxies are
    kept, `rank`, `proxy`, `repeat`, `value`: these are averaged over repeats, kappa geometrically.

    Raises UnreadableStudy.
    """
    from nasgauge.spaces.cells import Cell, InvalidCell

    if "cell" in frame:
        try:
            frame = frame.assign(rank=[Cell.parse(str(text)).rank for text in frame["cell"]]).drop(
                columns="cell"
            )
        except InvalidCell as error:
            raise UnreadableStudy(f"{path}: {error}") from error
    if "rank" not in frame:
        raise UnreadableStudy(
            f"{path} has no column cell or rank; it has {', '.join(map(str, frame.columns))}"
        )
    if {"proxy", "value"} <= set(frame.columns):
        proxy = frame["proxy"].astype(str)
        return frame.groupby(["rank", proxy])["value"].agg(_over_repeats).unstack()
    found = frame.set_index("rank")
    numeric = found.select_dtypes("number")
    if numeric.shape[1] == 0:
        raise UnreadableStudy(f"{path} has no column of numbers besides the cells")
    return numeric.assign(dataset=found["dataset"]) if "dataset" in found else numeric


def _over_repeats(values: "pd.Series[float]") -> float:
    """NaN if any is; geometric where all are negative, as condition numbers turned round are."""
    import numpy as np

    kept = values.to_numpy()
    return float(-np.exp(np.log(-kept).mean()) if kept.max() < 0 else kept.mean())


def _trials(path: Path) -> "pd.DataFrame":
    frame = _frame(path)
    missing = {"surrogate", "fitted", "tested", "kendall"} - set(frame.columns)
    if missing:
        raise UnreadableStudy(
            f"{path} has no column {', '.join(sorted(missing))}: nasgauge score predictors makes it"
        )
    return frame


def _prunings(path: Path) -> "list[Pruning]":
    from nasgauge.analysis.report.studies import Pruning
    from nasgauge.spaces.cells import EDGES, OPERATIONS

    try:
        kept = json.loads(path.read_text())
        blocks = kept if isinstance(kept, list) else [kept]
        full = (tuple(OPERATIONS[1:]),) * len(EDGES)
        return [
            Pruning(
                f"{block['preset']}, seed {one['seed']}",
                (full, *(tuple(map(tuple, step["choices"])) for step in one["rounds"])),
                [step["kappa"] for step in one["rounds"]],
                [step["regions"] for step in one["rounds"]],
            )
            for block in blocks
            for one in block["searches"]
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UnreadableStudy(
            f"{path} holds no TE-NAS searches ({error!r}): nasgauge score tenas makes them"
        ) from error
