"""A process in which a searcher is tried: `python -m nasgauge.conformance.child JOB REPORT`.

JOB is one JSON object; REPORT gets a line for each law that begins and each that ends, so that whoever
started the process knows where it hung or died.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nasgauge.conformance import laws
from nasgauge.conformance.trial import Broken, Trial
from nasgauge.harness.search.specs import InvalidOption, UnknownSearcher


def main(job: dict[str, Any], report: Path) -> None:
    """Do a job: all laws of one process, or one part of a law of two."""
    with report.open("a") as file:

        def say(**line: object) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()

        trial = Trial(job["target"], job["queries"])
        sys.addaudithook(trial.hook)
        say(begins=job["law"])
        try:
            trial.load()
            _do(job, trial, say)
        except (UnknownSearcher, InvalidOption) as error:
            say(unknown=str(error))
        except Broken as broken:
            say(law=broken.law, broken=broken.evidence)
        say(done=True)


def _do(job: dict[str, Any], trial: Trial, say: Any) -> None:
    checkpoint = Path(job["checkpoint"])
    if job["part"] == "laws":
        base = laws.runs(trial)
        say(cells=laws.cells_of(base))
        for name, law in laws.IN_ONE_PROCESS:
            say(begins=name)
            try:
                law(trial, base)
            except Broken as broken:
                say(law=broken.law, broken=broken.evidence)
    elif job["part"] == "again":
        random.seed(job["disturb"])
        np.random.seed(job["disturb"])  # noqa: NPY002 - a global generator that nobody may use is moved
        say(cells=laws.cells_of(laws.runs(trial)))
    elif job["part"] == "interrupted":
        laws.interrupted(trial, job["queries"] // 2, checkpoint)
    else:
        say(cells=laws.resumed(trial, job["queries"], checkpoint))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), Path(sys.argv[2]))
