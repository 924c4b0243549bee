"""Campaigns that grow, are merged, or fail: what is kept, what is run again, and what is left behind."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_campaign import campaign_in, digests

from nasgauge.analysis.results.campaign import load
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.folders import records_of
from nasgauge.harness.records.packing import pack_folder
from nasgauge.harness.records.results import OtherCampaign, Settings, references_of, settings_of
from nasgauge.harness.records.steps import DamagedRecord, Steps, read, write
from nasgauge.harness.search import units
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.failures import UnitsFailed
from nasgauge.harness.search.runner import Budget, InvalidBudget
from nasgauge.harness.search.specs import Searchable
from nasgauge.merging import merge
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201
from nasgauge.verification import verify


class Slow:
    """Random search that takes a moment."""

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        self.space, self.rng = space, rng

    def ask(self) -> list[Cell]:
        time.sleep(0.02)
        return [self.space.sample(self.rng)]

    def tell(self, cell: Cell, accuracy: float) -> None:
        """Learn nothing."""


class Failing(Slow):
    """Fails at its first question."""

    def ask(self) -> list[Cell]:
        raise RuntimeError("no cell comes to mind")


class Stopped(Slow):
    """Ctrl-C is pressed in its fourth run."""

    made = 0

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        super().__init__(space, rng)
        type(self).made += 1
        if self.made == 4:
            raise KeyboardInterrupt


class Brief(Slow):
    """Asks once."""

    asked = False

    def ask(self) -> list[Cell]:
        if self.asked:
            return []
        self.asked = True
        return super().ask()


class Patient(Slow):
    """Needs eight queries."""

    least = 8


def on_toy(
    folder: Path, table: Path, searchers: Sequence[Searchable], budget: float, seeds: int | range = 2
) -> Campaign:
    return Campaign.on_table(folder, searchers, table, seeds=seeds, rules=Rules(budget=Budget(budget)))


def test_a_larger_budget_runs_the_same_searches_further(toy_file: Path, tmp_path: Path) -> None:
    list(campaign_in(tmp_path / "grown", toy_file, seeds=12, budget=20).run(workers=1))
    grown = campaign_in(tmp_path / "grown", toy_file, seeds=12, budget=30)
    todo = grown.missing()
    assert sum(unit.runs for unit in todo) == grown.runs
    said = grown.again(todo)
    assert said.startswith("the budget grows from 20 queries to 30 queries: runs are made again")
    before = {path.name: read(path).steps for path in (tmp_path / "grown").glob("*.parquet")}
    list(grown.run(workers=1))
    list(campaign_in(tmp_path / "whole", toy_file, seeds=12, budget=30).run(workers=1))
    assert digests(tmp_path / "grown") == digests(tmp_path / "whole")
    assert settings_of(tmp_path / "grown") == settings_of(tmp_path / "whole")
    for name, steps in before.items():
        now = read(tmp_path / "grown" / name).steps
        assert np.array_equal(now.validation[now.query <= 20], steps.validation)
    assert grown.missing() == []
    assert grown.again([]) == ""


def test_what_is_missing_is_found_once_the_folder_is_held(toy_file: Path, tmp_path: Path) -> None:
    first, second = (on_toy(tmp_path, toy_file, ["random"], 5, seeds) for seeds in (15, 20))
    assert len(second.missing()) == 2
    list(first.run(workers=1))
    assert [(unit.first, unit.last) for unit in second.run(workers=1)] == [(15, 19)]
    assert verify(tmp_path).problems == []


@pytest.mark.parametrize("packed", [False, True])
def test_files_that_a_killed_process_did_not_remove_are_removed(
    packed: bool, toy_file: Path, tmp_path: Path
) -> None:
    made = on_toy(tmp_path, toy_file, ["random"], 5, 4)
    list(made.run(workers=1))
    name = "random@toy@00000-00003.parquet"
    record = read(tmp_path / name)
    if packed:
        pack_folder(tmp_path)
        write(tmp_path / name, record.header, record.steps)
    else:
        rows = record.steps.seed <= 1
        kept = {key: values if key == "cells" else values[rows] for key, values in vars(record.steps).items()}
        half = record.header.model_copy(update={"seeds": (0, 1)})
        write(tmp_path / "random@toy@00000-00001.parquet", half, Steps(**kept))
    assert len(verify(tmp_path).problems) == 1
    list(made.run(workers=1))
    assert verify(tmp_path).problems == []
    assert load(tmp_path).runs["toy", "random"].seeds.tolist() == [0, 1, 2, 3]
    assert [path.name for path in tmp_path.glob("*.parquet")] == ([] if packed else [name])


def test_runs_of_a_smaller_budget_are_left_out_until_they_are_run_again(
    toy_file: Path, tmp_path: Path
) -> None:
    list(campaign_in(tmp_path, toy_file, seeds=3, budget=20).run(workers=1))
    list(
        on_toy(tmp_path, toy_file, ["random"], 30).run(workers=1)
    )  # two of three seeds, one of two searchers
    records, notes = records_of(tmp_path)
    assert [(record.header.searcher, record.header.seeds) for record in records] == [("random", (0, 1))]
    assert len(notes) == 2
    assert all(
        "has a budget of 20 queries instead of 30 queries and is left out; run " in note for note in notes
    )
    list(campaign_in(tmp_path, toy_file, seeds=3, budget=30).run(workers=1))
    records, notes = records_of(tmp_path)
    assert sum(record.header.seeds[1] - record.header.seeds[0] + 1 for record in records) == 6
    assert notes == []


def test_packed_runs_of_a_smaller_budget_give_way_once_they_are_run_again(
    toy_file: Path, tmp_path: Path
) -> None:
    list(on_toy(tmp_path, toy_file, ["random"], 5, 4).run(workers=1))
    pack_folder(tmp_path)
    list(on_toy(tmp_path, toy_file, ["random"], 9, 2).run(workers=1))
    with pytest.raises(DamagedRecord, match=r"5 queries instead of 9 .* run random again with seeds 0 to 3"):
        pack_folder(tmp_path)
    list(on_toy(tmp_path, toy_file, ["random"], 9, 4).run(workers=1))
    assert verify(tmp_path).problems == []
    assert pack_folder(tmp_path) == 2
    assert [record.header.budget for record in records_of(tmp_path)[0]] == ["9 queries"] * 2


def test_a_budget_beyond_the_reference_s_random_curve_makes_a_longer_one(
    toy_file: Path, tmp_path: Path
) -> None:
    list(on_toy(tmp_path, toy_file, [Brief], 5).run(workers=1))
    assert references_of(tmp_path)["toy"].random.queries[-1] == 100_000
    list(on_toy(tmp_path, toy_file, [Brief], 200_000).run(workers=1))
    assert references_of(tmp_path)["toy"].random.queries[-1] == 200_000


def test_a_failed_command_leaves_no_claimed_folder_behind(toy_file: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no cell comes to mind"):
        list(on_toy(tmp_path / "out", toy_file, [Failing], 5).run(workers=1))
    assert not (tmp_path / "out").exists()
    list(on_toy(tmp_path / "out", toy_file, ["random"], 5).run(workers=1))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    with pytest.raises(Exception, match="no cell comes to mind"):
        list(on_toy(tmp_path / "out", toy_file, [Failing], 50).run(workers=1))
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before


def test_what_was_finished_before_a_failure_keeps_the_claim(toy_file: Path, tmp_path: Path) -> None:
    list(on_toy(tmp_path, toy_file, ["random"], 5).run(workers=1))
    with pytest.raises(Exception, match="no cell comes to mind"):
        list(on_toy(tmp_path, toy_file, ["random", Failing], 9).run(workers=1))
    assert settings_of(tmp_path).budget == "9 queries"
    assert on_toy(tmp_path, toy_file, ["random"], 9).missing() == []


def test_a_failed_command_leaves_no_table_behind(toy: AccuracyTable, tmp_path: Path) -> None:
    unnamed = Campaign.on_table(
        tmp_path / "out", [Failing], replace(toy, name="mine"), seeds=1, rules=Rules(budget=Budget(5))
    )
    assert unnamed.table is not None
    with pytest.raises(Exception, match="no cell comes to mind"):
        list(unnamed.run(workers=1))
    assert not (tmp_path / "out").exists()


def test_a_budget_below_what_a_searcher_needs_is_refused_before_anything_runs(
    toy_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidBudget, match=r"less than the 8 queries that .*Patient makes"):
        on_toy(tmp_path / "out", toy_file, ["random", Patient], 7)
    on_toy(tmp_path / "out", toy_file, ["random", Patient], 8)


def test_a_budget_beyond_the_table_is_noted(toy_file: Path, tmp_path: Path) -> None:
    assert (
        "more than evaluating all 15,625 cells costs"
        in on_toy(tmp_path, toy_file, ["random"], 1e12).notes[-1]
    )
    assert "more than evaluating" not in " ".join(on_toy(tmp_path, toy_file, ["random"], 15_625).notes)


class SlowThenFailing(Slow):
    """The third run fails; a first searcher is made, and not run, when the campaign is set up."""

    made = 0

    def __init__(self, space: NB201, rng: np.random.Generator) -> None:
        super().__init__(space, rng)
        type(self).made += 1

    def ask(self) -> list[Cell]:
        if type(self).made % 100 == 3:
            raise ValueError("no cell comes to mind")
        return super().ask()


def test_the_finished_runs_of_a_long_unit_are_written_meanwhile(
    toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "LONGEST", 0.1)
    stopped = on_toy(tmp_path, toy_file, [SlowThenFailing], 6, seeds=4)
    SlowThenFailing.made = 0
    with pytest.raises(UnitsFailed, match="no cell comes to mind"):
        list(stopped.run(workers=1))
    assert [record.header.seeds for record in records_of(tmp_path)[0]] == [(0, 1)]
    SlowThenFailing.made = 100
    assert [(unit.first, unit.last) for unit in stopped.missing()] == [(2, 3)]
    assert len(list(stopped.run(workers=1))) == 1
    assert stopped.missing() == []
    whole = on_toy(tmp_path / "whole", toy_file, [Slow], 6, seeds=4)
    assert len(list(whole.run(workers=1))) == 1
    assert [path.name.partition("@")[2] for path in (tmp_path / "whole").glob("*.parquet")] == [
        "toy@00000-00003.parquet"
    ]
    assert load(tmp_path).notes == load(tmp_path / "whole").notes == ()


def test_a_unit_that_is_stopped_keeps_the_runs_that_were_done(
    toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "LONGEST", 0.0)
    campaign = on_toy(tmp_path, toy_file, [Stopped], 6, seeds=5)
    Stopped.made = 0  # without those that were made to see whether it can be
    with pytest.raises(KeyboardInterrupt):
        list(campaign.run(workers=1))
    (record,) = records_of(tmp_path)[0]
    assert record.header.seeds == (0, 2)
    assert np.unique(record.steps.seed).tolist() == [0, 1, 2]
    Stopped.made = -10
    (unit,) = campaign.missing()
    assert (unit.first, unit.last) == (3, 4)
    list(campaign.run(workers=1))
    assert campaign.missing() == []
    assert load(tmp_path).notes == ()


def test_a_search_on_one_dataset_is_reported_on_all(tmp_path: Path) -> None:
    campaign = Campaign.on_table(
        tmp_path, ["evolution"], "nb201", seeds=2, rules=Rules(budget=Budget(30), search_on="cifar10")
    )
    list(campaign.run(workers=1))
    records = {record.header.dataset: record for record in records_of(tmp_path)[0]}
    assert set(records) == {"cifar10", "cifar100", "ImageNet16-120"}
    searches = [[record.steps.cells[place] for place in record.steps.cell] for record in records.values()]
    assert searches[0] == searches[1] == searches[2]
    one, other = records["cifar10"], records["cifar100"]
    assert one.header.metric == other.header.metric == "cifar10-valid/200/valid/random/accuracy"
    assert (one.header.report, other.header.report) == (
        "cifar10/200/test/mean/accuracy",
        "cifar100/200/test/mean/accuracy",
    )
    assert np.array_equal(one.steps.seconds, other.steps.seconds)
    assert not np.isclose(one.steps.test, other.steps.test).any()


def parts(folder: Path, table: Path) -> tuple[Path, Path]:
    list(on_toy(folder / "a", table, ["random", "evolution"], 10, range(12)).run(workers=1))
    list(on_toy(folder / "b", table, ["random", "local"], 10, range(8, 15)).run(workers=1))
    return folder / "a", folder / "b"


def test_folders_are_merged_and_each_run_is_kept_once(toy_file: Path, tmp_path: Path) -> None:
    merged = merge(parts(tmp_path, toy_file), tmp_path / "c")
    assert (merged.first_seed, merged.seeds) == (0, 15)
    campaign = load(tmp_path / "c")
    assert campaign.runs["toy", "random"].seeds.tolist() == list(range(15))
    assert campaign.runs["toy", "local"].seeds.tolist() == list(range(8, 15))
    assert campaign.runs["toy", "evolution"].seeds.tolist() == list(range(12))
    list(on_toy(tmp_path / "whole", toy_file, ["random"], 10, 15).run(workers=1))
    whole = load(tmp_path / "whole").runs["toy", "random"]
    assert np.array_equal(campaign.runs["toy", "random"].validation, whole.validation)
    grown = on_toy(tmp_path / "c", toy_file, ["random", "evolution", "local"], 10, 15)
    assert sum(unit.runs for unit in grown.missing()) == 8 + 3  # seeds 0-7 of local, 12-14 of evolution


def test_trained_cells_and_own_tables_come_with_the_merged_runs(toy_file: Path, tmp_path: Path) -> None:
    folders = parts(tmp_path, toy_file)
    for folder, names in zip(folders, ("one both", "both other"), strict=True):
        for name in names.split():
            for place in ("trained", "trained/measured"):
                (folder / place).mkdir(exist_ok=True)
                (folder / place / f"{name}.parquet").write_text(f"{name} of {folder.name}")
    (folders[1] / "table.npz").write_text("a table")
    merge(folders, tmp_path / "c")
    for place in ("trained", "trained/measured"):
        found = {path.name: path.read_text() for path in (tmp_path / "c" / place).glob("*.parquet")}
        assert found == {
            "one.parquet": "one of a",
            "both.parquet": "both of a",
            "other.parquet": "other of b",
        }
    assert (tmp_path / "c" / "table.npz").read_text() == "a table"


def test_packed_runs_are_merged_too(toy_file: Path, tmp_path: Path) -> None:
    folders = parts(tmp_path, toy_file)
    merge(folders, tmp_path / "c")
    pack_folder(folders[0])
    merge(folders, tmp_path / "d")
    files = {path.name: path.read_bytes() for path in (tmp_path / "c").glob("*.parquet")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "d").glob("*.parquet")} == files


@pytest.mark.parametrize(
    ("budget", "rules", "says"),
    [
        (11, {}, "b holds runs of 11 queries, .*a of 10 queries; run the shorter again"),
        (10, {"repeats": "free"}, "b holds results with repeats free, not charge; give"),
    ],
)
def test_folders_that_cannot_be_compared_are_not_merged(
    toy_file: Path, tmp_path: Path, budget: float, rules: dict[str, str], says: str
) -> None:
    list(on_toy(tmp_path / "a", toy_file, ["random"], 10).run(workers=1))
    other = Rules(budget=Budget(budget), **rules)  # type: ignore[arg-type]
    list(Campaign.on_table(tmp_path / "b", ["random"], toy_file, seeds=2, rules=other).run(workers=1))
    with pytest.raises(OtherCampaign, match=says):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with pytest.raises(OtherCampaign, match="at least two"):
        merge([tmp_path / "a"], tmp_path / "c")
    with pytest.raises(OtherCampaign, match="a holds a campaign; give a new folder"):
        merge([tmp_path / "a", tmp_path / "a"], tmp_path / "a")


def test_two_runs_of_one_seed_that_differ_are_not_merged(toy_file: Path, tmp_path: Path) -> None:
    class Stubborn(Slow):
        """Always the same cell."""

        cell = 3

        def ask(self) -> list[Cell]:
            return [self.space[self.cell]]

    list(on_toy(tmp_path / "a", toy_file, [Stubborn], 3).run(workers=1))
    Stubborn.cell = 4
    list(on_toy(tmp_path / "b", toy_file, [Stubborn], 3).run(workers=1))
    with pytest.raises(OtherCampaign, match=r"hold different runs of .*Stubborn on toy, seed 0; move"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")


@pytest.mark.parametrize("column", ["answer", "epochs", "seconds", "fidelity", "test", "charged"])
def test_runs_that_differ_in_any_column_are_not_merged(column: str, toy_file: Path, tmp_path: Path) -> None:
    for name in "ab":
        list(on_toy(tmp_path / name, toy_file, ["random"], 3).run(workers=1))
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "same")
    (path,) = (tmp_path / "b").glob("*.parquet")
    record = read(path)
    values = getattr(record.steps, column)
    other = np.where(np.arange(len(values)) == 1, 0 if column != "fidelity" else 12, values).astype(
        values.dtype
    )
    write(path, record.header, replace(record.steps, **{column: other}))  # type: ignore[arg-type]  # any column
    with pytest.raises(OtherCampaign, match="hold different runs of random on toy, seed 0; move"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_settings_of_older_folders_are_read(toy_file: Path, tmp_path: Path) -> None:
    settings = on_toy(tmp_path, toy_file, ["random"], 3).settings
    older = settings.model_dump(exclude={"search_on"})
    assert Settings.model_validate(older) == settings


def test_workers_started_from_python_do_not_import_from_the_current_folder_first(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('this is not Python\\'s json')\n")
    script = "import sys; sys.path.remove('') if '' in sys.path else None; import nasgauge as ng; "
    script += "print(ng.bench('random', dataset='cifar10', seeds=2, budget=2, workers=2, progress=False))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "<Results: random on cifar10, 2 runs>", done.stderr
