"""Whose a results folder is: claiming one for a campaign, what may be added to it, and what is refused."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nasgauge.data.atomic import PARTIAL, replacing
from nasgauge.data.sealed import MEASURED
from nasgauge.data.storage import MARK
from nasgauge.harness.records.packed import PACKED
from nasgauge.harness.records.results import (
    LOCK,
    REFERENCE_FILE,
    SETTINGS_FILE,
    TRAINED,
    OtherCampaign,
    Reference,
    References,
    Settings,
    TrainingSettings,
    known_references,
    settings_of,
    write_json,
)

_COMPARED: Final = (
    "format", "table", "table_sha256", "curves_sha256", "metric", "search_on", "repeats", "training",
)  # fmt: skip
"""Settings in which two campaigns must agree for their results to stand in one folder; a budget may grow."""


_CLAIM: Final = (SETTINGS_FILE, REFERENCE_FILE)


_WORDS: Final = {
    "metric": ("search metric", "of the table"),
    "search_on": ("searches on", "each dataset"),
    "training": ("training", "by a table"),
}
"""What settings are called in messages, and what an empty one means."""


def claimed(folder: Path, settings: Settings) -> frozenset[str] | None:
    """The datasets whose references a folder has; None for a folder that no campaign has begun in.

    A larger budget needs its own references, so there are none then. Raises OtherCampaign if the folder's
    results cannot be compared with those of `settings`, or if it holds files but no campaign.
    """
    if folder.exists() and not folder.is_dir():
        raise OtherCampaign(f"{folder} is a file; give a folder")
    if (folder / SETTINGS_FILE).exists():
        found = settings_of(folder)
        check_comparable(folder, found, settings)
        if _amount(found.budget) > _amount(settings.budget):
            raise OtherCampaign(
                f"{folder} holds runs of {found.budget}, more than {settings.budget}; give that budget, or "
                "another folder"
            )
        return frozenset(known_references(folder)) if found.budget == settings.budget else frozenset()
    if folder.exists() and any(not _is_ours(path) for path in folder.iterdir()):
        raise OtherCampaign(f"{folder} holds files but no {SETTINGS_FILE}; give a new folder")
    return None


def check_comparable(folder: Path, found: Settings, wanted: Settings) -> None:
    """Raise OtherCampaign, which names the setting, if the results in `folder` cannot be compared with others."""
    for name in _COMPARED:
        then, now = getattr(found, name), getattr(wanted, name)
        if then == now:
            continue
        if name == "table_sha256":
            raise OtherCampaign(
                f"{folder} was made with another version of {found.table}; give another folder"
            )
        if name == "curves_sha256":
            raise OtherCampaign(
                f"{folder} was made with {_curves(then)}, not {_curves(now)}; put its curves back, or give another folder"
            )
        if isinstance(then, TrainingSettings) and isinstance(now, TrainingSettings):
            name, then, now = _first_difference(then, now)
        what, empty = _WORDS.get(name, (name.replace("_", " "), "none"))
        raise OtherCampaign(
            f"{folder} holds results with {what} {then or empty}, not {now or empty}; give the same, or another folder"
        )
    if _clock(found.budget) != _clock(wanted.budget):
        raise OtherCampaign(
            f"{folder} holds results with a budget in {_clock(found.budget)}, not in {_clock(wanted.budget)}; "
            f"give a budget in {_clock(found.budget)}, or another folder"
        )


def _curves(sha256: str) -> str:
    return f"learning curves {sha256[:12]}" if sha256 else "no learning curves, or some without a checksum"


def _first_difference(then: TrainingSettings, now: TrainingSettings) -> tuple[str, object, object]:
    one, other = vars(then.recipe) | vars(then), vars(now.recipe) | vars(now)
    name = next(name for name in one if name != "recipe" and one[name] != other[name])
    return name, one[name], other[name]


def _amount(budget: str) -> float:
    return float(budget.split()[0])


def _clock(budget: str) -> str:
    return budget.split()[-1]


@contextmanager
def claiming(folder: Path, settings: Settings, references: Mapping[str, Reference]) -> Iterator[None]:
    """Claim a folder, and take the claim back if what follows fails before it wrote any result.

    Raises OtherCampaign.
    """
    held = {path: path.read_bytes() for name in _CLAIM if (path := folder / name).exists()}
    there, results = set(folder.rglob("*")), _results(folder)
    claim(folder, settings, references)
    try:
        yield
    except BaseException:
        new = [path for path in folder.rglob("*") if path not in there]
        if _results(folder) == results and not any(path.is_dir() for path in new):
            for path in new:
                path.unlink()
            for path, content in held.items():
                with replacing(path) as file:
                    file.write(content)
            if not any(folder.iterdir()):
                folder.rmdir()
        raise


def _results(folder: Path) -> set[tuple[Path, int]]:
    """Result files and training records, each with the time when it was written."""
    return {(path, path.stat().st_mtime_ns) for path in folder.rglob("*.parquet")}


def claim(folder: Path, settings: Settings, references: Mapping[str, Reference]) -> None:
    """Make `folder` this campaign's, or add seeds, datasets and budget to the campaign that it holds.

    Partial files that killed processes left behind are removed, so hold the folder's lock. Raises OtherCampaign.
    """
    known = claimed(folder, settings)
    if known is None:
        write_json(folder / REFERENCE_FILE, References(datasets=dict(references)))
        write_json(folder / SETTINGS_FILE, settings)
    else:
        if set(references) - known:
            both = known_references(folder) | dict(references)
            write_json(folder / REFERENCE_FILE, References(datasets=both))
        found = settings_of(folder)
        grown = joined(found, settings)
        if grown != found:
            write_json(folder / SETTINGS_FILE, grown)
    for place in (folder, folder / PACKED, folder / TRAINED):
        for partial in (*place.glob(f"{PARTIAL}*"), *(place / MEASURED).glob(f"{PARTIAL}*")):
            partial.unlink(missing_ok=True)


def joined(found: Settings, wanted: Settings) -> Settings:
    """Settings that cover the seeds and datasets of both, with the larger budget."""
    first = min(found.first_seed, wanted.first_seed)
    end = max(found.first_seed + found.seeds, wanted.first_seed + wanted.seeds)
    return found.model_copy(
        update={
            "first_seed": first,
            "seeds": end - first,
            "datasets": tuple(dict.fromkeys([*found.datasets, *wanted.datasets])),
            "budget": max(found.budget, wanted.budget, key=_amount),
        }
    )


def _is_ours(path: Path) -> bool:
    """Whether a process that holds the folder, or was killed while it claimed it, may have made this."""
    return path.name == REFERENCE_FILE or path.name.startswith((PARTIAL, LOCK, MARK))
