"""Many runs: the same bytes with any number of workers, after a kill, and in any process."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from nasgauge.data.atomic import PARTIAL
from nasgauge.data.storage import Store
from nasgauge.data.tables import AccuracyTable, DamagedTable
from nasgauge.harness.records.claims import claim
from nasgauge.harness.records.folders import records_of
from nasgauge.harness.records.results import (
    SETTINGS_FILE,
    Curve,
    OtherCampaign,
    Reference,
    Settings,
    Unit,
    plan,
    settings_of,
    stranger,
    write_json,
)
from nasgauge.harness.records.steps import DamagedRecord, read
from nasgauge.harness.records.todo import missing
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget, InvalidBudget
from nasgauge.harness.search.specs import Spec
from nasgauge.harness.search.units import Place, run_unit
from nasgauge.verification import verify

REFERENCES = {
    "toy": Reference(optimum=60, optimum_cell="", leader=60, random=Curve(queries=(1,), mean=(1,), sd=(1,)))
}
SEARCHERS = ("random", "evolution")


def campaign_in(folder: Path, table: Path, *, seeds: int = 25, budget: float = 30) -> Campaign:
    return Campaign.on_table(folder, SEARCHERS, table, seeds=seeds, rules=Rules(budget=Budget(budget)))


@pytest.fixture
def settings(toy_file: Path) -> Settings:
    return campaign_in(Path("anywhere"), toy_file).settings


def digests(folder: Path) -> dict[str, str]:
    return {path.name: read(path).header.digest for path in folder.glob("*.parquet")}


def finish(folder: Path, table: Path, workers: int) -> dict[str, str]:
    campaign = campaign_in(folder, table)
    todo = campaign.missing()
    assert sorted(campaign.run(workers=workers)) == sorted(todo)
    return digests(folder)


def test_a_folder_from_before_a_default_changed_is_not_mixed(
    tmp_path: Path, settings: Settings, toy_file: Path
) -> None:
    finish(tmp_path, toy_file, workers=1)
    then = Spec.of("evolution").settings()
    assert missing(tmp_path, settings, {"evolution": then}) == []
    with pytest.raises(OtherCampaign, match=r"which today is .*population=12"):
        missing(tmp_path, settings, {"evolution": then | {"population": 12}})
    unnamed = {"evolution": then | {"warm_sha256": "0" * 64}}  # the file is from before sources were named
    assert missing(tmp_path, settings, unnamed) == []


def test_nothing_is_written_before_a_campaign_runs(tmp_path: Path, toy_file: Path) -> None:
    campaign = campaign_in(tmp_path / "out", toy_file)
    assert len(campaign.missing()) == 6
    assert campaign.runs == 50
    assert not (tmp_path / "out").exists()


def test_a_plan_covers_every_seed_once(settings: Settings) -> None:
    units = plan(settings, ["random", "local"])
    assert [(u.searcher, u.first, u.last) for u in units] == [
        (name, first, last) for first, last in ((0, 9), (10, 19), (20, 24)) for name in ("random", "local")
    ]
    assert len({unit.file for unit in units}) == 6


def test_each_searcher_and_dataset_has_files_of_its_own(tmp_path: Path) -> None:
    small, large = "random:constraint=params<=0.5", "random:constraint=params>=0.5"
    few = {"datasets": ["cifar10"], "seeds": 2, "rules": Rules(budget=Budget(5))}
    campaign = Campaign.on_table(tmp_path, [small, large], "nb201", **few)  # type: ignore[arg-type]
    list(campaign.run(workers=1))
    assert {record.header.searcher for record in records_of(tmp_path)[0]} == {small, large}
    assert campaign.missing() == []
    others = ["a/b", "a+b", "a b", "../a", "x" * 300, "x" * 301, "é" * 300]
    names = {Unit(searcher, dataset, 0, 9).file for searcher in others for dataset in others}
    assert len(names) == len(others) ** 2
    assert all(Path(name).name == name and len(name.encode()) < 256 for name in names)
    known = Unit("mine:Searcher:rate=1e-05", "ImageNet16-120", 0, 9).file
    assert known == "mine+Searcher+rate=1e-05@ImageNet16-120@00000-00009.parquet"


def test_step_data_is_the_same_with_one_and_with_two_workers(toy_file: Path, tmp_path: Path) -> None:
    one, two = finish(tmp_path / "one", toy_file, 1), finish(tmp_path / "two", toy_file, 2)
    assert one == two
    assert len(one) == 6


def test_a_header_says_how_to_get_the_file_again(settings: Settings, toy_file: Path, tmp_path: Path) -> None:
    finish(tmp_path, toy_file, 1)
    header = read(tmp_path / Unit("evolution", "toy", 10, 19).file).header
    assert header.settings == {"population": 10, "tournament": 10}
    assert (header.seeds, header.budget, header.repeats) == ((10, 19), "30 queries", "charge")
    assert header.table_sha256 == settings.table_sha256
    assert {"python", "numpy", "nasgauge"} <= set(header.versions)
    (tmp_path / "again").mkdir()
    again = Place(store=Store(tmp_path / "again"), provenance=header.model_dump())
    run_unit(again, settings, Unit(header.searcher, header.dataset, *header.seeds), Spec.of(header.searcher))
    assert digests(tmp_path / "again").popitem()[1] == header.digest


def test_a_header_names_the_packages_that_its_searcher_uses_and_no_other(
    toy_file: Path, tmp_path: Path
) -> None:
    for package in ("optuna", "sklearn"):
        pytest.importorskip(package)
    uses = {
        "random": set[str](),
        "tpe": {"optuna"},
        "tpe:warm=flops:warm_cells=2": {"optuna"},
        "smbo:explore=none:surrogate=forest": {"scikit-learn"},
        "smbo": set[str](),
    }
    rules = Rules(budget=Budget(14))
    list(Campaign.on_table(tmp_path, [*uses], toy_file, seeds=1, rules=rules).run(workers=1))
    always = {"python", "nasgauge", "numpy", "pyarrow", "joblib"}
    for record in records_of(tmp_path)[0]:
        assert set(record.header.versions) == always | uses[record.header.searcher]
        assert all(version[0].isdecimal() for version in record.header.versions.values())


def test_resume_makes_just_what_is_missing(toy_file: Path, tmp_path: Path) -> None:
    whole = finish(tmp_path, toy_file, 1)
    kept = tmp_path / Unit("random", "toy", 0, 9).file
    written = kept.stat().st_mtime_ns
    (tmp_path / Unit("random", "toy", 10, 19).file).unlink()
    assert finish(tmp_path, toy_file, 1) == whole
    assert kept.stat().st_mtime_ns == written


def test_a_damaged_result_file_stops_a_resume_and_is_left_alone(toy_file: Path, tmp_path: Path) -> None:
    finish(tmp_path, toy_file, 1)
    path = tmp_path / Unit("random", "toy", 0, 9).file
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DamagedRecord, match="remove it and run the campaign again"):
        campaign_in(tmp_path, toy_file).missing()
    assert path.stat().st_size == 500
    records, damaged = records_of(tmp_path)
    assert len(records) == 5
    assert len(damaged) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"budget": "29 queries"}, "holds runs of 30 queries, more than 29 queries; give"),
        ({"budget": "31 epochs"}, "holds results with a budget in queries, not in epochs; give"),
        (
            {"metric": "12/valid/mean"},
            "with search metric of the table, not 12/valid/mean; give the same, or",
        ),
        ({"search_on": "toy"}, "with searches on each dataset, not toy; give"),
        ({"table_sha256": "0"}, "was made with another version of .*toy.npz; give another folder"),
        ({"repeats": "free"}, "with repeats charge, not free; give the same, or another folder"),
    ],
)
def test_another_campaign_s_folder_is_refused(
    settings: Settings, tmp_path: Path, change: dict[str, object], says: str
) -> None:
    claim(tmp_path / "out", settings, REFERENCES)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(OtherCampaign, match=says) as raised:
        claim(tmp_path / "out", settings.model_copy(update=change), REFERENCES)
    assert len(str(raised.value).replace(str(tmp_path), "")) < 120
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_seeds_and_datasets_are_added_to_a_folder(settings: Settings, tmp_path: Path) -> None:
    claim(tmp_path, settings, REFERENCES)
    more = settings.model_copy(update={"first_seed": 20, "seeds": 20, "datasets": ("other",)})
    claim(tmp_path, more, {"other": REFERENCES["toy"]})
    grown = settings_of(tmp_path)
    assert (grown.first_seed, grown.seeds, grown.datasets) == (0, 40, ("toy", "other"))
    claim(tmp_path, settings, REFERENCES)  # what is there is not taken away
    assert settings_of(tmp_path) == grown


def test_a_cut_unit_runs_only_the_seeds_that_were_not_run(toy_file: Path, tmp_path: Path) -> None:
    list(campaign_in(tmp_path, toy_file, seeds=3).run(workers=1))
    more = campaign_in(tmp_path, toy_file, seeds=12).missing()
    assert [(unit.first, unit.last) for unit in more if unit.searcher == "random"] == [(3, 9), (10, 11)]


def test_a_folder_of_other_files_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(OtherCampaign, match="holds files but no"):
        claim(tmp_path, settings, REFERENCES)
    with pytest.raises(OtherCampaign, match="is a file"):
        claim(tmp_path / "thesis.tex", settings, REFERENCES)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_whose_claim_was_cut_short_can_be_claimed(settings: Settings, tmp_path: Path) -> None:
    claim(tmp_path, settings, REFERENCES)
    (tmp_path / "campaign.json").unlink()
    (tmp_path / f"{PARTIAL}x").write_text("{")
    claim(tmp_path, settings, REFERENCES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["campaign.json", "reference.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_damaged_settings_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "campaign.json").write_text(text)
    with pytest.raises(OtherCampaign, match=r"campaign\.json is damaged") as raised:
        settings_of(tmp_path)
    assert "\n" not in str(raised.value)
    assert "pydantic" not in str(raised.value)


def test_a_table_that_changed_since_is_refused(settings: Settings, tmp_path: Path) -> None:
    changed = settings.model_copy(update={"table_sha256": "0" * 64})
    with pytest.raises(DamagedTable, match="the campaign began with"):
        run_unit(
            Place(store=Store(tmp_path), provenance={}),
            changed,
            Unit("random", "toy", 0, 9),
            Spec.of("random"),
        )
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_replaced_is_opened_again_for_another_campaign(
    toy: AccuracyTable, tmp_path: Path
) -> None:
    """A process keeps a table open, and a notebook runs many campaigns."""
    for better in (0, 1):
        changed = {column: values + better for column, values in toy.columns.items()}
        replace(toy, columns=changed).save(tmp_path / "mine.npz")
        assert len(finish(tmp_path / str(better), tmp_path / "mine.npz", workers=1)) == 6


def test_files_of_another_table_are_left_out_and_named(toy_file: Path, tmp_path: Path) -> None:
    list(campaign_in(tmp_path, toy_file, seeds=1).run(workers=1))
    write_json(tmp_path / SETTINGS_FILE, settings_of(tmp_path).model_copy(update={"table_sha256": "0"}))
    records, notes = records_of(tmp_path)
    assert records == []
    assert all("belongs to another campaign" in note for note in notes)
    assert len(notes) == 2


@pytest.mark.parametrize(
    ("rules", "other", "why"),
    [
        (Rules(), Rules(repeats="free"), "repeats free"),
        (Rules(metric="12/valid/mean"), Rules(), "search metric cifar10-valid/200/valid/random/accuracy"),
        (Rules(), Rules(metric="12/valid/mean"), "search metric cifar10-valid/12/valid/mean/accuracy"),
    ],
)
def test_files_made_by_other_rules_are_not_mixed(
    rules: Rules, other: Rules, why: str, tmp_path: Path
) -> None:
    def made(folder: str, rules: Rules, seeds: range) -> Campaign:
        few = replace(rules, budget=Budget(5))
        return Campaign.on_table(
            tmp_path / folder, ["random"], "nb201", datasets=["cifar10"], seeds=seeds, rules=few
        )

    list(made("one", rules, range(2)).run(workers=1))
    list(made("other", other, range(10, 12)).run(workers=1))
    name = Unit("random", "cifar10", 10, 11).file
    shutil.copy(tmp_path / "other" / name, tmp_path / "one" / name)
    with pytest.raises(OtherCampaign, match=f"{name} belongs to another campaign .{why}.; move it"):
        made("one", rules, range(12)).missing()
    assert len(verify(tmp_path / "one").problems) == (rules.metric != "" or other.repeats == "free")


def test_a_file_of_another_epoch_of_the_same_training_is_not_mixed(
    settings: Settings, toy_file: Path, tmp_path: Path
) -> None:
    finish(tmp_path, toy_file, workers=1)
    (header, *_) = (record.header for record in records_of(tmp_path)[0])

    def why(metric: str, epoch: str) -> str:
        found = header.model_copy(update={"metric": f"toy/200/valid/mean/accuracy{epoch}"})
        return stranger(found, settings.model_copy(update={"metric": metric}))

    for epoch in (", epoch 1", ", epoch 1, after 1 to 12 epochs, continued"):
        assert why("200@1/valid/mean", epoch) == ""
    assert why("200/valid/mean", ", after 12, 200 epochs, trained anew") == ""
    for metric in ("200@1/valid/mean", "200/valid/mean"):
        assert why(metric, ", epoch 12") == "search metric toy/200/valid/mean/accuracy, epoch 12"


def test_a_budget_of_epochs_below_one_query_is_refused(tmp_path: Path) -> None:
    """Unless the searcher chooses shorter trainings."""
    few = Rules(budget=Budget(100, "epochs"))
    with pytest.raises(InvalidBudget, match="100 epochs does not pay for one query of 200 epochs"):
        Campaign.on_table(tmp_path, ["random"], "nb201", rules=few)
    assert Campaign.on_table(tmp_path, ["asha"], "nb201", seeds=1, rules=few).settings.budget == "100 epochs"


def test_settings_of_another_format_are_refused(settings: Settings, tmp_path: Path) -> None:
    write_json(tmp_path / SETTINGS_FILE, settings.model_copy(update={"format": 2}))
    with pytest.raises(OtherCampaign, match=r"campaign\.json .* has format 2, this version reads 1"):
        settings_of(tmp_path)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_campaign_leaves_whole_files_and_goes_on(
    toy_file: Path, tmp_path: Path, signal_number: signal.Signals
) -> None:
    # a shell's background jobs ignore Ctrl-C, and so do their children
    run = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    run += "from nasgauge.cli import main; main()"
    cut, whole = tmp_path / "cut", tmp_path / "whole"

    def command(out: Path, workers: int) -> list[str]:
        return [
            sys.executable, "-c", run, "search", "evolution",
            "--table", str(toy_file), "--seeds", "300", "--budget", "150", "--workers", str(workers), "--out", str(out),
        ]  # fmt: skip

    process = subprocess.Popen(
        command(cut, 2),
        env=os.environ | {"PYTHONHASHSEED": "1"},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and len(list(cut.glob("*.parquet"))) < 3:
        time.sleep(0.01)
    os.killpg(process.pid, signal_number) if signal_number == signal.SIGKILL else process.send_signal(
        signal_number
    )
    assert process.wait(timeout=60) == (-9 if signal_number == signal.SIGKILL else 130)
    survivors = digests(cut)  # reads every file: all are whole
    assert 3 <= len(survivors) < 30
    (cut / f"{PARTIAL}of-a-killed-process").write_bytes(b"half")
    subprocess.run(
        command(cut, 1), env=os.environ | {"PYTHONHASHSEED": "2"}, stderr=subprocess.DEVNULL, check=True
    )
    subprocess.run(
        command(whole, 2), env=os.environ | {"PYTHONHASHSEED": "3"}, stderr=subprocess.DEVNULL, check=True
    )
    assert digests(cut) == digests(whole)
    assert not list(cut.glob(f"{PARTIAL}*"))
