"""A campaign that is killed and interrupted at random moments, many times over, ends with the results of one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nasgauge.harness.records.folders import records_of
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget
from nasgauge.verification import verify

pytestmark = pytest.mark.slow
NASGAUGE = (
    sys.executable,
    "-c",
    # a shell's background jobs ignore Ctrl-C, and so do their children
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from nasgauge.cli import main; main()",
)


def rows(folder: Path) -> dict[tuple[str, int], list[tuple[str, float]]]:
    """The queries of each run, whatever files they are in."""
    found: dict[tuple[str, int], list[tuple[str, float]]] = {}
    for record in records_of(folder)[0]:
        steps = record.steps
        for seed in np.unique(steps.seed):
            chosen = steps.seed == seed
            cells = [steps.cells[place] for place in steps.cell[chosen]]
            key = (record.header.searcher, int(seed))
            assert key not in found, "a run was made twice"
            found[key] = list(zip(cells, steps.validation[chosen].tolist(), strict=True))
    return found


@pytest.mark.parametrize(
    ("signals", "trials", "whole_group"),
    [
        ((signal.SIGKILL,), 50, True),
        ((signal.SIGKILL,), 10, False),
        ((signal.SIGTERM, signal.SIGINT), 20, False),
    ],
)
def test_nothing_is_lost_or_made_twice(
    signals: tuple[signal.Signals, ...], trials: int, whole_group: bool, toy_file: Path, tmp_path: Path
) -> None:
    seeds, budget = 4000, 60
    out = tmp_path / "out"
    command = [*NASGAUGE, "search", "random,evolution", "-t", str(toy_file), "-o", str(out), "-j", "2"]
    command += ["-n", str(seeds), "-b", str(budget)]
    rng = np.random.default_rng(trials)
    interrupted = 0
    for trial in range(trials):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, text=True
        )
        with process:
            time.sleep(rng.uniform(0.2, 6.0))
            number = signals[trial % len(signals)]
            if process.poll() is None:
                interrupted += 1
                os.killpg(process.pid, number) if whole_group else process.send_signal(number)
            _, said = process.communicate(timeout=120)
        if not said.rstrip().endswith("KeyboardInterrupt"):  # Python itself was starting
            assert "Traceback" not in said, said
        assert process.returncode in (0, 130, -number)
        if not whole_group:
            time.sleep(1.5)  # workers notice that their parent has ended
        if (out / "campaign.json").exists():
            assert verify(out).problems == []
    subprocess.run(command, stderr=subprocess.DEVNULL, check=True)
    rules = Rules(budget=Budget(budget))
    whole = Campaign.on_table(tmp_path / "whole", ["random", "evolution"], toy_file, seeds=seeds, rules=rules)
    list(whole.run(workers=1))
    assert rows(out) == rows(tmp_path / "whole")
    print(f"{interrupted} of {trials} trials hit a running campaign; 0 failures")  # noqa: T201


CELL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
LONG: dict[str, list[str]] = {
    "training": [
        "train", CELL, "-d", "made-up", "-r", "tiny", "--epochs", "12", "--device", "cpu", "--threads", "1",
        "--checkpoint-steps", "2", "-n", "2",
    ],
    "scoring": ["score", "cells", "--all", "--count", "75", "-p", "naswot,params", "--resume"],
}  # fmt: skip

SMALL = (
    "from nasgauge.harness.proxies.score_files import Recipe; "
    "Recipe.__init__.__kwdefaults__.update(channels=2, cells=1, batch=8); "
)
"""Before the command: scores of a small network."""


def made(what: str, out: Path) -> object:
    """What must be the same, however often it was interrupted: bytes of records and weights; scores but for seconds."""
    if what == "training":
        return {
            path.name: path.read_bytes() for path in out.iterdir() if path.is_file() and path.name[0] != "."
        }
    from nasgauge.harness.proxies.score_files import read

    parts = sorted(out.rglob("*.parquet"))
    return {
        str(path.relative_to(out)): [tuple(score._replace(seconds=0.0)) for score in read(path)[1]]
        for path in parts
    }


@pytest.mark.torch
@pytest.mark.parametrize(
    ("signals", "trials"), [((signal.SIGKILL,), 20), ((signal.SIGTERM, signal.SIGINT), 20)]
)
@pytest.mark.parametrize("what", list(LONG))
def test_trainings_and_scoring_go_on_with_the_same_bytes(
    what: str, signals: tuple[signal.Signals, ...], trials: int, tmp_path: Path
) -> None:
    """Each folder is interrupted until it is finished, and then compared; the next trial begins a new one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def command(out: Path) -> list[str]:
        *python, code = NASGAUGE
        return [*python, (SMALL if what == "scoring" else "") + code, *LONG[what], "-o", str(out)]

    def text(found: object) -> str:
        return repr(found)

    start = time.monotonic()
    subprocess.run(command(tmp_path / "whole"), env=environment, capture_output=True, check=True)
    lasts = time.monotonic() - start
    whole, rng, interrupted, finished = (
        text(made(what, tmp_path / "whole")),
        np.random.default_rng(trials),
        0,
        0,
    )
    out = tmp_path / "0"
    for trial in range(trials):
        number = signals[trial % len(signals)]
        with subprocess.Popen(
            command(out), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                _, said = process.communicate(timeout=rng.uniform(0.2, 1.0) * lasts)
            except subprocess.TimeoutExpired:
                interrupted += 1
                process.send_signal(number)
                _, said = process.communicate(timeout=300)
        if not said.rstrip().endswith("KeyboardInterrupt"):  # Python itself was starting
            assert "Traceback" not in said, said
        assert process.returncode in (0, 130, -number), said
        if not process.returncode:
            assert text(made(what, out)) == whole
            finished += 1
            print(f"{what}: finished for the {finished}. time, with the same content, at trial {trial + 1}")  # noqa: T201
            out = tmp_path / str(finished)
    subprocess.run(command(out), env=environment, capture_output=True, check=True)
    assert text(made(what, out)) == whole
    print(f"{what}: {interrupted} of {trials} trials hit a running process; 0 failures")  # noqa: T201
