"""A campaign that is killed and interrupted at random moments, many times over, ends with the results of one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nasgauge.harness.records.results import records_of
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
