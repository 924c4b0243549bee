"""The command line: the main job, and one clear line for whatever is wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from nasgauge.harness.records.results import Unit
from nasgauge.harness.records.steps import read, write

ROOT = Path(__file__).resolve().parents[1]


def nasgauge(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from nasgauge.cli import main; main()", *arguments]
    environment = os.environ | {"COLUMNS": "100"}
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("bench") / "out"
    return out, nasgauge("bench", "--seeds", "12", "--budget", "40", "--workers", "2", "--out", str(out))


def test_bench_ends_with_figures_on_disk(benched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = benched
    assert done.returncode == 0, done.stderr
    assert (out / "report" / "efficiency-cifar10.pdf").read_bytes().startswith(b"%PDF")
    assert (out / "report" / "efficiency-cifar10.png").read_bytes().startswith(b"\x89PNG")
    final = pd.read_csv(out / "report" / "final.csv")
    assert set(final["searcher"]) >= {"random", "evolution", "local", "reinforce"}
    assert (final["n"] == 12).all()
    curves = pd.read_csv(out / "report" / "efficiency-cifar10.csv")
    assert {"queries", "evolution mean", "evolution low", "evolution high", "random search, exact"} <= set(
        curves
    )
    assert curves["queries"].iloc[-1] == 40


def test_everything_printed_names_the_table_and_its_limits(
    benched: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = benched
    assert "table nb201" in done.stderr
    for dataset, training in (("cifar10", "cifar10-valid"), ("cifar100", "cifar100")):
        assert (
            f"{dataset}: search metric {training}/200/valid/random/accuracy, reported {dataset}"
            in done.stderr
        )


def test_report_draws_again_and_says_what_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        nasgauge("search", "random", "-d", "cifar10", "-n", "20", "-b", "10", "--out", str(out)).returncode
        == 0
    )
    (out / Unit("random", "cifar10", 10, 19).file).unlink()
    done = nasgauge("report", str(out))
    assert done.returncode == 0
    assert "random on cifar10: 10 of 20 runs" in done.stdout
    path = out / Unit("random", "cifar10", 0, 9).file
    path.write_bytes(path.read_bytes()[:100])
    done = nasgauge("report", str(out))
    assert done.returncode == 2
    assert "holds no readable result file: result file" in done.stderr


def test_one_seed_has_no_band_and_the_report_says_so(tmp_path: Path) -> None:
    done = nasgauge("bench", "-s", "random,local", "-n", "1", "-b", "5", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "one run, so no interval can be given" in done.stdout


def test_a_searcher_can_be_added_to_a_folder(tmp_path: Path) -> None:
    common = ("-n", "3", "-b", "5", "--out", str(tmp_path / "out"))
    assert nasgauge("search", "random", *common).returncode == 0
    done = nasgauge("bench", "-s", "random,local:climb=steepest", *common)
    assert "9 finished runs are kept" in done.stderr
    assert set(pd.read_csv(tmp_path / "out" / "report" / "final.csv")["searcher"]) == {
        "random",
        "local:climb=steepest",
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bench", "--seeds", "0"), "--seeds 0 runs nothing; give a count of at least 1"),
        (("bench", "--budget", "0"), "a budget of 0 queries buys nothing; give a positive number"),
        (("bench", "--budget", "-3"), "a budget of -3 queries buys nothing"),
        (("bench", "--budget", "lots"), "budget 'lots' is not understood; write 200"),
        (("bench", "--table", "bundeld"), "unknown table 'bundeld'; choose from nb201, bundled"),
        (("bench", "--dataset", "cifar11"), "table nb201 has no dataset 'cifar11'; choose from cifar10"),
        (("bench", "--searchers", "random,evo"), "unknown searcher 'evo'; choose from"),
        (("bench", "--searchers", "evolution:population=0"), "population and tournament must be at least 1"),
        (("bench", "--workers", "0"), "--workers 0 runs nothing"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = nasgauge(*arguments, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_campaign_is_left_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert nasgauge("search", "random", "-n", "2", "-b", "5", "--out", str(out)).returncode == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    done = nasgauge("search", "random", "-n", "2", "-b", "4", "--out", str(out))
    assert done.returncode == 2
    assert "holds runs of 5 queries, more than 4 queries; give that budget, or another folder" in done.stderr
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_damaged_table_is_one_line(toy_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.npz"
    bad.write_bytes(toy_file.read_bytes()[:1000])
    done = nasgauge("bench", "--table", str(bad), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "bad.npz is damaged" in done.stderr
    assert done.stderr.count("\n") == 1


def test_report_of_nothing_is_one_line(tmp_path: Path) -> None:
    done = nasgauge("report", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "holds no campaign" in done.stderr
    done = nasgauge("report", str(tmp_path), "--clock", "wall")
    assert done.returncode == 2


def test_a_clock_that_the_table_does_not_have_is_refused(tmp_path: Path, toy_file: Path) -> None:
    out = tmp_path / "out"
    common = ("search", "random", "-n", "2", "-t", str(toy_file), "--out")
    refused = nasgauge(*common, str(tmp_path / "none"), "-b", "100s")
    assert "does not say what a query costs in seconds; give the budget in queries" in refused.stderr
    assert not (tmp_path / "none").exists()
    assert nasgauge(*common, str(out), "-b", "5").returncode == 0
    done = nasgauge("report", str(out), "--clock", "seconds")
    assert done.returncode == 2
    assert "does not say what a query costs in seconds; choose another clock" in done.stderr
    assert nasgauge("report", str(out), "--clock", "overhead").returncode == 0
    assert (out / "report" / "efficiency-toy-overhead.png").exists()


def test_help_shows_examples() -> None:
    for command in ("bench", "search", "report"):
        shown = nasgauge(command, "--help").stdout
        assert "Example" in shown
        assert f"nasgauge {command}" in shown


def test_the_version_needs_no_command() -> None:
    done = nasgauge("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("nasgauge")


@pytest.mark.parametrize("arguments", [("searchers",), ("bench", "--help")])
def test_output_that_nobody_reads_ends_the_command_quietly(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", "from nasgauge.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=120) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize("arguments", [("recipes",), ("bench", "--help"), ("data", "info", "é…")])
def test_characters_that_the_output_cannot_show_are_replaced(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = nasgauge(*arguments)
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if "info" in arguments else 0)
    assert "?" in done.stdout + done.stderr


@pytest.mark.skipif(os.name != "posix", reason="closes a stream in a shell")
def test_a_closed_output_is_no_error() -> None:
    command = f"{sys.executable} -c 'from nasgauge.cli import main; main()' searchers random >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_names_that_look_like_markup_or_escapes_reach_the_terminal_as_text(
    benched: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    shutil.copytree(benched[0], tmp_path / "out")
    path = next((tmp_path / "out").glob("local@*.parquet"))
    record = read(path)
    header = record.header.model_copy(update={"searcher": "mine:A:s=[/x]\x1b[2J"})
    write(path.with_name(Unit(header.searcher, header.dataset, *header.seeds).file), header, record.steps)
    done = nasgauge("report", str(tmp_path / "out"), "--no-figures")
    assert done.returncode == 0, done.stderr
    assert "[/x]" in done.stdout
    assert "\x1b[2J" not in done.stdout
