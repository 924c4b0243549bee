"""Optional sections of a report: proxy scores, surrogate trials, TE-NAS searches and retrained cells."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import nasgauge.harness
from nasgauge.searchers.tenas import SHIPPED as SHIPPED_SEARCHES
from nasgauge.searchers.tenas import SearchFile, UnreadableSearches
from nasgauge.spaces.errors import NasgaugeError, reason

if TYPE_CHECKING:
    import pandas as pd

    from nasgauge.analysis.report.studies import Extras, Pruning
    from nasgauge.analysis.statistics.ranks import Study
    from nasgauge.data.tables import AccuracyTable

SHIPPED_SCORES: Final = Path(*nasgauge.harness.__path__) / "proxies" / "scores.parquet"
_OF_EVERY_CELL: Final = ("flops", "params", "l2_norm")
"""Scores that differ within a structural class, of which others are scores of one cell."""
DRAWN: Final = 3
"""Searches of a preset that a report draws: those of the lowest seeds."""


class UnreadableStudy(NasgaugeError, ValueError):
    """Raised for a file that does not have the expected content."""


def gather(
    folder: Path, scores: str, trials: str, pruning: str, trained: Path | None = None, curves: str = ""
) -> "Extras":
    """Read the files of the optional sections of a report on the campaign in `folder`.

    `scores`, `trials` and `pruning` are paths, `shipped` for the files of the package, or empty for no such section.
    Several files of trials are separated by commas. `trained` is a folder of training records.

    Raises UnreadableStudy, NoTrainings, DamagedTraining, NotInTable, OtherCampaign.
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
        raise UnreadableStudy("this version does not contain such a file; give a path")
    return shipped


def _frame(path: Path) -> "pd.DataFrame":
    import pandas as pd

    if not path.is_file():
        raise UnreadableStudy(f"there is no file {path}")
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError, KeyError) as error:
        raise UnreadableStudy(f"{path} is not a .parquet or .csv table: {reason(error)}") from error


def _studies(table: "AccuracyTable", datasets: tuple[str, ...], path: Path) -> "list[Study]":
    """Proxy scores, FLOPs and parameters of cells with their accuracy in the table, for each dataset."""
    import numpy as np

    from nasgauge.analysis.statistics.ranks import Study
    from nasgauge.data.ceilings import single_trainings
    from nasgauge.spaces.costs import TASKS, multiply_adds, parameters
    from nasgauge.spaces.nb201 import NB201
    from nasgauge.spaces.ranks import rank_sum

    frame = wide(_frame(path), path)
    ranks = frame.index.to_numpy()
    space = NB201()
    studies = []
    for dataset in datasets:
        report = table.view(dataset).report
        images = report.dataset if report.dataset in TASKS else "cifar10"  # the ranking of cells is the same
        own = frame[frame["dataset"] == dataset] if "dataset" in frame else frame
        ranks = own.index.to_numpy()
        named = {str(name): own[name].to_numpy(dtype=np.float64) for name in own if name != "dataset"}
        if {"kappa", "regions"} <= set(named):
            named["rank sum"] = rank_sum(named["kappa"], named["regions"])
        named["flops"] = np.array([multiply_adds(space[rank], images) for rank in ranks], dtype=np.float64)
        named["params"] = np.array([parameters(space[rank], images) for rank in ranks], dtype=np.float64)
        seeds = single_trainings(table, dataset)[:, ranks]
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
    """Reshape scores to one row per cell, indexed by its rank, and one column per score.

    Accepts two layouts. In the wide layout, the column `cell` (official string) or `rank` identifies the cell, and the
    numeric columns are scores. In the long layout, with columns `rank`, `proxy`, `repeat` and `value`, values are
    averaged over repeats, geometrically for kappa, and cells of which only a size is known are left out. `path` is used
    in error messages.

    Raises UnreadableStudy.

    >>> import pandas as pd
    >>> wide(pd.DataFrame({"rank": [3, 5], "naswot": [1.0, 2.0]}), Path("scores.csv"))["naswot"].to_dict()
    {3: 1.0, 5: 2.0}
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
        scored = frame.loc[~proxy.isin(_OF_EVERY_CELL), "rank"].unique()
        if len(scored):  # like with like: sizes of the cells that the others are scores of
            frame = frame[frame["rank"].isin(scored)]
        return frame.groupby(["rank", frame["proxy"].astype(str)])["value"].agg(_over_repeats).unstack()
    found = frame.set_index("rank")
    numeric = found.select_dtypes("number")
    if numeric.shape[1] == 0:
        raise UnreadableStudy(f"{path} has no column of numbers besides the cells")
    return numeric.assign(dataset=found["dataset"]) if "dataset" in found else numeric


def _over_repeats(values: "pd.Series[float]") -> float:
    """Mean over repeats, NaN if any value is; the geometric mean if all are negative, as negated condition numbers are."""
    import numpy as np

    kept = values.to_numpy()
    return float(-np.exp(np.log(-kept).mean()) if kept.max() < 0 else kept.mean())


def _trials(path: Path) -> "pd.DataFrame":
    frame = _frame(path)
    missing = {"surrogate", "size", "fitted", "tested", "kendall"} - set(frame.columns)
    if missing:
        raise UnreadableStudy(
            f"{path} has no column {', '.join(sorted(missing))}; make the file with: nasgauge score predictors"
        )
    return (
        frame if "dataset" in frame else frame.assign(dataset=path.resolve().parent.name)
    )  # files of before


def _prunings(path: Path) -> "list[Pruning]":
    """The first `DRAWN` searches of each preset."""
    from nasgauge.analysis.report.studies import Pruning

    try:
        kept = SearchFile.read(path)
    except UnreadableSearches as error:
        raise UnreadableStudy(str(error)) from error
    return [
        Pruning(
            f"{preset}, seed {search.seed}",
            search.states,
            [step.kappa for step in search.rounds],
            [step.regions for step in search.rounds],
        )
        for preset in kept.settings
        for searches in [kept.by_seed(preset)]
        for search in list(searches.values())[:DRAWN]
    ]
