"""The stored baseline: settings, fingerprints and per-seed results in one JSON file, a line for each run.

    format, sha256     of this file
    made               commit and versions, for the reader
    settings           table, budgets, seeds, margin: what a later run repeats
    datasets           name -> fingerprint, optimum, random search
    searchers          name -> options, and dataset -> margins, speed, runs [seed, cells, [accuracies]]

A file that was altered or merged by hand does not fit its own checksum and is refused.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from nasgauge.data.atomic import replacing
from nasgauge.gate.measure import Measured, Truth, accuracies
from nasgauge.gate.verdicts import MIN_SEEDS
from nasgauge.gate.work import DECIMALS, Run
from nasgauge.spaces.checksums import opened, sealed
from nasgauge.spaces.errors import NasgaugeError, reason

FORMAT: Final = 1
_SHARE: Final = re.compile(r"(\d+(?:\.\d*)?)\s*(%?)")


class BadBaseline(NasgaugeError, ValueError):
    """A file that is no baseline, not the one that was written, or not one for this table."""


class BadSettings(NasgaugeError, ValueError):
    """Settings that a gate cannot work with, or that are not the baseline's."""


class Settings(BaseModel):
    """What every run against this baseline repeats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    """Name of the table."""
    budgets: tuple[int, ...]
    """Numbers of queries, ascending; a run goes on to the last."""
    first_seed: int = Field(ge=0)
    """The first of the seeds."""
    seeds: int
    """How many seeds, each a run."""
    margin: str
    """Percentage points (`0.1`), or a share of the regret (`25%`, see `margins`)."""


class Dataset(BaseModel):
    """The fingerprint of a dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    optimum: float
    random: tuple[float, ...]


class Entry(BaseModel):
    """One searcher on one dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    margins: tuple[float, ...]
    """The loss that must be noticed after each budget, percentage points."""
    speed: float
    """Seconds for each query over those of random search, when the baseline was made."""
    runs: tuple[Run, ...]
    """What each seed found after each budget."""


class Searcher(BaseModel):
    """One searcher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    options: dict[str, int | float | str | bool]
    """Every option when the baseline was made."""
    datasets: dict[str, Entry]


class Baseline(BaseModel):
    """What was measured then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    """Version of the format."""
    made: dict[str, str]
    """When, where and with which versions."""
    settings: Settings
    """What every run repeats."""
    datasets: dict[str, Dataset]
    """Fingerprints of the datasets, by name."""
    searchers: dict[str, Searcher]
    """What was measured, by searcher."""


def checked(settings: Settings) -> Settings:
    """The settings themselves.

    Raises BadSettings.
    """
    if settings.seeds < MIN_SEEDS:
        raise BadSettings(f"{settings.seeds} seeds are too few to decide anything; give at least {MIN_SEEDS}")
    budgets = settings.budgets
    if not budgets or min(budgets) < 1 or tuple(sorted(set(budgets))) != budgets:
        raise BadSettings(f"budgets {budgets} are not ascending numbers of queries; write 50,150")
    _margin(settings.margin)
    return settings


def assemble(
    made: Mapping[str, str],
    settings: Settings,
    truths: Mapping[str, Truth],
    options: Mapping[str, Mapping[str, int | float | str | bool]],
    measured: Mapping[tuple[str, str], Measured],
) -> Baseline:
    """A baseline of what was measured, with the margins of later comparisons."""
    return Baseline(
        made=dict(made),
        settings=settings,
        datasets={
            name: Dataset(sha256=truth.sha256, optimum=truth.optimum, random=truth.random)
            for name, truth in truths.items()
        },
        searchers={
            searcher: Searcher(
                options=dict(values),
                datasets={
                    name: Entry(
                        margins=margins(settings.margin, truth, measured[searcher, name].runs),
                        speed=round(measured[searcher, name].speed, 3),
                        runs=measured[searcher, name].runs,
                    )
                    for name, truth in truths.items()
                },
            )
            for searcher, values in options.items()
        },
    )


def margins(margin: str, truth: Truth, runs: tuple[Run, ...] = ()) -> tuple[float, ...]:
    """The margin after each budget, in percentage points; without runs, that of a searcher as good as random search.

    A share is one of regret, the distance to the table's best cell: of the exact mean regret of random
    search after the same budget, or of the searcher's own mean regret then, whichever is larger. Random
    search sets the scale of a table and budget: its regret is known without error, falls as a budget
    saturates a table, and is never zero; a good searcher's own regret tends to zero, where no share of it
    would be of interest or could be measured. A searcher that is worse than random has its own scale.

    Raises BadSettings.
    """
    amount, is_share = _margin(margin)
    own = accuracies(runs).mean(axis=0).tolist() if runs else truth.random
    scale = [truth.optimum - min(both) for both in zip(truth.random, own, strict=True)]
    return tuple(round(amount * regret if is_share else amount, DECIMALS) for regret in scale)


def check_margin(settings: Settings, dataset: str, truth: Truth) -> None:
    """Raise BadSettings for a share of the regret that is stored as no margin at all."""
    for budget, margin in zip(settings.budgets, margins(settings.margin, truth), strict=True):
        if margin <= 0:
            raise BadSettings(
                f"margin {settings.margin} is below {10**-DECIMALS:.{DECIMALS}f} points on {dataset} after {budget} queries; "
                "give a larger one"
            )


def _margin(text: str) -> tuple[float, bool]:
    match = _SHARE.fullmatch(text.strip())
    amount = float(match[1]) if match else math.nan
    if match is None or not amount >= 10**-DECIMALS:
        raise BadSettings(
            f"margin {text!r} is not understood; write 0.1 (percentage points) or 25% (of the regret)"
        )
    return (amount / 100, True) if match[2] else (amount, False)


def save(path: Path, baseline: Baseline) -> None:
    """Write the file, which appears whole or not at all."""
    content = baseline.model_dump(mode="json")
    with replacing(path) as file:
        file.write(_text(sealed(content)).encode() + b"\n")


def load(path: Path) -> Baseline:
    """Open a baseline and check it against its own checksum.

    Raises BadBaseline.
    """
    try:
        return Baseline.model_validate(opened(path.read_bytes(), FORMAT))
    except FileNotFoundError:
        raise BadBaseline(
            f"there is no baseline {path}; make it with: nasgauge gate --update --baseline {path}"
        ) from None
    except ValueError as error:
        raise BadBaseline(f"{path} is no baseline ({reason(error)}); {_REMEDY}") from error


_REMEDY: Final = "restore the file, or remove it and make it again with nasgauge gate --update"


def _text(value: Any, indent: str = "") -> str:
    """JSON with a line for each entry of a dict and for each run, so that a diff shows which runs changed."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        lines = [f"{json.dumps(key)}: {_text(item, inner)}" for key, item in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], list):
        lines = [json.dumps(item) for item in value]
    else:
        return json.dumps(value)
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(lines) + f"\n{indent}{closing}"
