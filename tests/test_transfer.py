"""Search on one dataset, report on another; warm starts from another dataset's runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import nasgauge as ng
from nasgauge.analysis.results.transfer import BEST
from nasgauge.cli import app
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.folders import records_of
from nasgauge.harness.records.packing import pack_folder
from nasgauge.harness.search.history import past
from nasgauge.harness.search.specs import InvalidOption, Spec
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201
from nasgauge.transfer import NoTransfer
from nasgauge.verification import verify

DATASETS = ["cifar10", "cifar100"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    ng.bench(["random", "local"], dataset=DATASETS, seeds=5, budget=30, out=folder, workers=1, progress=False)
    return folder


# The matrix


def test_every_entry_is_the_mean_of_the_recommended_cells(folder: Path, nb201: AccuracyTable) -> None:
    results = ng.open_results(folder)
    frame, runs = results.transfer(), results.frame()

    assert len(frame) == 2 * 2 * 3 + 2 * 3
    for row in frame[frame["searcher"] != BEST].to_dict("records"):
        part = runs[(runs.searcher == row["searcher"]) & (runs.dataset == row["source"])]
        ends = part.loc[part.groupby("seed")["metric"].idxmax(), "cell"]
        values = [nb201.query(cell, dataset=str(row["target"]), epochs=200, split="test") for cell in ends]
        assert row["mean"] == pytest.approx(np.mean(values))
        assert row["n"] == 5
        assert row["low"] <= row["mean"] <= row["high"]


def test_the_change_is_against_searches_on_the_target(folder: Path) -> None:
    rows = ng.open_results(folder).transfer().to_dict("records")
    found = {(row["searcher"], row["source"], row["target"]): row for row in rows}
    there, own = found["local", "cifar10", "cifar100"], found["local", "cifar100", "cifar100"]

    assert there["change"] == pytest.approx(there["mean"] - own["mean"])
    assert there["change low"] <= there["change"] <= there["change high"]
    assert np.isnan(own["change"])
    assert np.isnan(found["local", "cifar10", "ImageNet16-120"]["change"])  # nothing searched there
    assert found[BEST, "cifar10", "cifar10"]["mean"] == pytest.approx(94.373, abs=5e-4)


def test_a_search_on_one_dataset_has_one_source(tmp_path: Path) -> None:
    results = ng.search(
        "random", dataset=DATASETS, search_on="cifar10", seeds=3, budget=10, out=tmp_path, progress=False
    )
    frame = results.transfer()
    assert set(frame["source"]) == {"cifar10"}
    own = frame[(frame.searcher == "random") & (frame.target == "cifar100")]["mean"].item()
    runs = results.frame()
    ends = runs[(runs.dataset == "cifar100")].groupby("seed")["incumbent"].last()
    assert own == pytest.approx(ends.mean())


def test_the_command_writes_the_matrix(folder: Path, tmp_path: Path) -> None:
    app(["transfer", str(folder), "--out", str(tmp_path / "t")], standalone_mode=False)

    assert {path.name for path in (tmp_path / "t").iterdir()} == {
        "transfer.csv",
        "transfer.md",
        "transfer.tex",
    }
    lines = (tmp_path / "t" / "transfer.md").read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith("| searcher | searched on | CIFAR-10 | CIFAR-100 | ImageNet16-120 |")
    assert sum(line.startswith("| Random search") for line in lines) == 2
    assert "Cells are transferred, not weights" in (tmp_path / "t" / "transfer.tex").read_text(
        encoding="utf-8"
    )


def test_a_table_of_one_dataset_is_refused(toy_file: Path, tmp_path: Path) -> None:
    results = ng.search("random", toy_file, seeds=2, budget=5, out=tmp_path, progress=False)
    with pytest.raises(NoTransfer, match="has one dataset, toy"):
        results.transfer()


# Warm starts


def test_a_run_is_its_cells_by_search_metric(folder: Path) -> None:
    runs = past(f"{folder}@cifar10")
    frame = ng.open_results(folder).frame()
    part = frame[(frame.searcher == "local") & (frame.dataset == "cifar10") & (frame.seed == 0)]
    best = part.groupby("cell")["metric"].max().sort_values(ascending=False)

    assert len(runs) == 10
    assert runs[0].ranks_N[0] == Cell.parse(best.index[0]).rank
    assert len(runs[0].ranks_N) == part["cell"].nunique()
    assert runs[0].seconds == pytest.approx(part["seconds"].sum())


def test_the_first_queries_are_the_best_cells_of_one_run_and_its_seconds_are_charged(folder: Path) -> None:
    text = f"evolution:warm={folder}@cifar10:warm_cells=4"
    frame = ng.search(text, dataset="cifar100", seeds=3, budget=12, progress=False).frame()
    runs = past(f"{folder}@cifar10")
    drawn = []
    for seed, part in frame.groupby("seed"):
        first = [Cell.parse(cell).rank for cell in part["cell"][:4]]
        (place,) = [n for n, one in enumerate(runs) if one.ranks_N[:4].tolist() == first]
        assert part["seconds"].iloc[0] > runs[place].seconds
        assert part["seconds"].iloc[1:].max() < runs[place].seconds
        drawn.append((seed, place))
    assert len({place for _, place in drawn}) > 1


def test_a_warm_start_keeps_a_constraint(folder: Path) -> None:
    text = f"random:warm={folder}@cifar100:constraint=params<=0.4"
    made = Spec.parse(text).make(NB201(), np.random.default_rng(0), dataset="cifar10")
    from nasgauge.data.figures import met
    from nasgauge.spaces.objectives import constraints

    assert met(constraints("params<=0.4"), "cifar10")[[cell.rank for cell in made.ask()]].all()


def test_runs_that_are_not_there_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidOption, match="has no runs on 'ImageNet16-120'; choose from cifar10, cifar100"):
        Spec.parse(f"random:warm={folder}@ImageNet16-120")
    with pytest.raises(ng.NasgaugeError, match="holds no campaign"):
        Spec.parse(f"random:warm={tmp_path}@cifar10")
    with pytest.raises(InvalidOption, match="must be at least 1"):
        Spec.parse(f"random:warm={folder}@cifar10:warm_cells=0")


def test_a_source_that_is_damaged_or_the_results_themselves_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    text = f"random:warm={copy}@cifar10"
    with pytest.raises(ng.NasgaugeError, match="cannot be kept in that folder; give another folder"):
        ng.search(text, dataset="cifar100", seeds=1, budget=12, out=copy, progress=False)
    next(copy.glob("*.parquet")).rename(copy / "random@cifar10@00100-00109.parquet")
    with pytest.raises(InvalidOption, match=r"the runs of .* are not whole: result file .* is a copy of"):
        Spec.parse(text)


def test_runs_that_changed_since_are_refused_and_all_else_is_not(folder: Path, tmp_path: Path) -> None:
    source, out = Path(shutil.copytree(folder, tmp_path / "source")), tmp_path / "out"
    text = f"random:warm={source}@cifar10:warm_cells=4"

    def searched(seeds: int) -> ng.Results:
        return ng.bench([text], dataset="cifar100", seeds=seeds, budget=6, out=out, workers=1, progress=False)

    searched(2)
    (header,) = (record.header for record in records_of(out)[0])
    digest = str(header.settings["warm_sha256"])
    assert len(digest) == 64
    pack_folder(source)  # the same runs in another file
    ng.bench(["local"], dataset="ImageNet16-120", seeds=1, budget=30, out=source, workers=1, progress=False)
    searched(3)
    assert {record.header.settings["warm_sha256"] for record in records_of(out)[0]} == {digest}
    assert verify(out, rerun=2).problems == []

    began = Spec.parse(text)
    ng.bench(["random"], dataset="cifar10", seeds=6, budget=30, out=source, workers=1, progress=False)
    for seeds in (4, 3):
        with pytest.raises(
            ng.NasgaugeError, match=rf"from runs that changed since \(checksum {digest[:12]}, now"
        ):
            searched(seeds)
    with pytest.raises(
        InvalidOption, match=rf"cifar10 changed since \(checksum {digest[:12]}, now .*begin again"
    ):
        began.make(NB201(), np.random.default_rng(0))
    (problem,) = set(verify(out, rerun=1).problems)
    assert "changed since" in problem


def test_the_digest_of_a_source_is_a_setting_and_no_option(folder: Path) -> None:
    spec = Spec.parse(f"random:warm={folder}@cifar10")
    assert "warm_sha256" in spec.settings()
    assert Spec.parse(str(spec)).settings() == spec.settings()
    assert "warm_sha256" not in Spec.of(spec, warm="naswot").settings()
    with pytest.raises(InvalidOption, match="has no option 'warm_sha256'"):
        Spec.of(spec, warm_sha256="0")
