"""`nasgauge train`, and searches on real training: the command, what it keeps, and one line for what is wrong."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from nasgauge.cli import main
from nasgauge.harness.records.steps import read as read_steps
from nasgauge.harness.records.trainings import read, write
from nasgauge.spaces.cells import Cell

pytestmark = pytest.mark.torch
ROOT = Path(__file__).resolve().parents[1]
CELL = Cell.parse("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|")


def nasgauge(*arguments: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command, with no file above `limit` bytes."""

    def confine() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-c", "from nasgauge.cli import main; main()", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        preexec_fn=confine,
        check=False,
    )


def train(folder: Path, *arguments: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    common = ("-d", "made-up", "-r", "tiny", "--device", "cpu", "--out", str(folder))
    return nasgauge("train", *common, *arguments, limit=limit)


def test_train_then_train_again_does_nothing(tmp_path: Path) -> None:
    done = train(tmp_path, str(CELL), "--seeds", "2", "--first-seed", "1", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "0 are done" in done.stderr
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")}
    assert len(files) == 2
    again = train(tmp_path, str(CELL), "--seeds", "2", "--first-seed", "1", "--epochs", "1")
    assert again.returncode == 0, again.stderr
    assert "2 are done" in again.stderr
    assert files == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")}


@pytest.mark.parametrize("change", [{"splits": "official"}, {"images_sha256": "0" * 64}])
def test_a_record_of_other_splits_or_images_is_refused_on_every_dataset(
    tmp_path: Path, change: dict[str, str]
) -> None:
    """As after `nasgauge data fetch splits`, when halves are other images than before."""
    assert train(tmp_path, str(CELL), "--epochs", "1").returncode == 0
    (path,) = tmp_path.glob("*.parquet")
    record = read(path)
    write(path, record.header.model_copy(update=change), record.epochs)
    refused = train(tmp_path, str(CELL), "--epochs", "1")
    assert refused.returncode == 2
    what = "official splits, here they are seeded" if "splits" in change else "other images"
    assert f"is the record of a training on {what}; give another folder" in refused.stderr


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    """The record of an epoch fits below the limit, the checkpoint does not."""
    full = train(tmp_path, str(CELL), limit=20_000)
    assert full.returncode == 2
    assert full.stderr.splitlines()[-1].startswith("error: ")
    assert "File too large" in full.stderr
    (record,) = tmp_path.glob("*.parquet")
    assert len(read(record).epochs) == 1
    assert not list(tmp_path.glob("*.safetensors"))
    assert not list(tmp_path.glob(".partial*"))
    assert train(tmp_path, str(CELL)).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("|conv~0|",), "malformed cell"),
        ((str(CELL), "--recipe", "tinny"), "did you mean tiny?"),
        ((str(CELL), "--dataset", "cifar9"), "unknown dataset 'cifar9'; choose from"),
        ((str(CELL), "--dataset", "foo"), "ImageNet16-120, imagenet, made-up"),
        ((str(CELL), "--device", "cuda:9"), "no device 'cuda:9'"),
        ((str(CELL), "--precision", "8"), "unknown precision '8'"),
        ((str(CELL), "--seeds", "0"), "--seeds 0 runs nothing; give a count of at least 1"),
        ((str(CELL), "--top", "2"), "give cells, or --top K --from RESULTS"),
        (("--top", "2", "--from", "nowhere"), "nowhere holds no campaign"),
        ((str(CELL), "--dataset", "cifar100", "--images", "."), "error"),
    ],
    ids=lambda value: " ".join(value)[-30:] if isinstance(value, tuple) else None,
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ("-d", "made-up", "-r", "tiny", "--device", "cpu", "--out", str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["nasgauge", "train", *common, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert line in error
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_search_on_real_training_and_the_winners_trained_again(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    options = ("--oracle", "train", "-d", "made-up", "--recipe", "tiny", "--device", "cpu", "--seeds", "2")
    command = ("search", "random", *options, "--budget", "6 epochs", "--out", str(folder))
    done = nasgauge(*command)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.parquet")
    record = read_steps(path)
    assert record.header.seconds == "measured"
    assert record.header.metric == "made-up/tiny/valid"
    assert record.steps.epochs.tolist() == [2.0] * 6  # three queries a run, and none beyond the budget
    assert len(list((folder / "trained").glob("*.parquet"))) == len(set(record.steps.cell.tolist()))
    assert (record.steps.seconds > 0).all()
    path.unlink()
    assert nasgauge(*command).returncode == 0
    assert read_steps(path).header.digest == record.header.digest, "trained cells are looked up"
    report = nasgauge("report", str(folder), "--no-figures")
    assert report.returncode == 0, report.stderr
    best = train(tmp_path / "best", "--top", "1", "--from", str(folder), "--epochs", "1")
    assert best.returncode == 0, best.stderr
    assert len(list((tmp_path / "best").glob("*.parquet"))) == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("-d", "made-up", "--metric", "12/valid"), "cells are trained here: give a recipe"),
        (("-d", "made-up", "--recipe", "huge"), "choose from nb201-12, nb201-200, long, tiny"),
        (("-d", "made-up", "--device", "cuda:5"), "no device 'cuda:5'"),
        (("-d", "made-up", "--budget", "1 epochs"), "does not pay for one query of 2 epochs"),
    ],
    ids=["metric", "recipe", "device", "budget"],
)
def test_a_search_that_cannot_train_says_why(
    arguments: tuple[str, ...],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ("random", "--oracle", "train", "--seeds", "1", "--out", str(tmp_path / "out"))
    monkeypatch.setattr(sys, "argv", ["nasgauge", "search", *common, *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert line in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_processes_share_a_batch(tmp_path: Path) -> None:
    """Batch statistics are those of half a batch, so figures are near those of one process, not the same."""
    script = tmp_path / "start.py"  # Fabric starts the second process by the script's path
    script.write_text("from nasgauge.cli import main\nmain()\n")
    options = ("-d", "made-up", "-r", "tiny", "--epochs", "4", "--device", "cpu", "--processes", "2")
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, str(script), "train", str(CELL), *options, "--out", str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.parquet")
    assert read(path).epochs[-1].train_accuracy > 20
