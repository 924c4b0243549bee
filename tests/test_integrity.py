"""What is written is what is read: the same bytes anywhere, and nothing altered is accepted in silence."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nasgauge.analysis.results.campaign import load
from nasgauge.data.atomic import PARTIAL
from nasgauge.data.sealed import MEASURED
from nasgauge.data.tables import AccuracyTable
from nasgauge.harness.records.folders import read_unit, records_of
from nasgauge.harness.records.lock import HOLDER, FolderInUse, locked
from nasgauge.harness.records.packing import pack_folder
from nasgauge.harness.records.results import OtherCampaign, Unit, references_of
from nasgauge.harness.records.steps import DamagedRecord, read, write
from nasgauge.harness.search.campaign import Campaign, Rules
from nasgauge.harness.search.runner import Budget
from nasgauge.spaces.checksums import sealed
from nasgauge.verification import verify

FIRST, SECOND = "random@toy@00000-00009.parquet", "random@toy@00010-00019.parquet"


def campaign(folder: Path, table: Path, searchers: str = "random,local", seeds: int = 20) -> Campaign:
    rules = Rules(budget=Budget(30))
    return Campaign.on_table(folder, searchers.split(","), table, seeds=seeds, rules=rules)


@pytest.fixture(scope="module")
def made(toy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "out"
    list(campaign(folder, toy_file).run(workers=1))
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def contents(folder: Path) -> dict[str, bytes]:
    """All that does not depend on when and where it was made."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."
    }


def test_a_campaign_has_the_same_bytes_with_any_number_of_workers(
    made: Path, toy_file: Path, tmp_path: Path
) -> None:
    list(campaign(tmp_path, toy_file).run(workers=2))
    assert contents(tmp_path) == contents(made)
    measured = {path.name for path in (tmp_path / MEASURED).iterdir()}
    assert measured == {path.name for path in tmp_path.glob("*.parquet")}


def replaced(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert re.search(old, text)
        (folder / name).write_text(re.sub(old, new, text, count=1))

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda folder: shutil.copy(folder / FIRST, folder / "random@toy@00020-00029.parquet"),
            f"is a copy of {FIRST}",
        ),
        (lambda folder: shutil.copy(folder / FIRST, folder / SECOND), f"is a copy of {FIRST}"),
        (
            lambda folder: (folder / FIRST).replace(folder / "local@toy@00020-00029.parquet"),
            f"is a copy of {FIRST}",
        ),
        (lambda folder: (folder / FIRST).write_bytes((folder / FIRST).read_bytes()[:-9]), "is damaged"),
    ],
)
def test_an_altered_result_file_is_named_and_left_out(
    change: Callable[[Path], object], says: str, copy: Path, toy_file: Path
) -> None:
    change(copy)
    _, notes = records_of(copy)
    assert [note for note in notes if says in note], notes
    assert says in " ".join(load(copy).notes)
    with pytest.raises(DamagedRecord, match=re.escape(says)):
        campaign(copy, toy_file, seeds=30).missing()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (replaced("reference.json", r'"optimum": [\d.]+', '"optimum": 99.0'), "does not fit its sha256"),
        (replaced("reference.json", r'"optimum": [\d.]+', '"optimum": NaN'), "does not fit its sha256"),
        (replaced("campaign.json", r'"seeds": 20', '"seeds": 2'), "does not fit its sha256"),
        (replaced("campaign.json", r'"sha256"', '"sha"'), "no JSON object with a sha256"),
    ],
)
def test_altered_settings_and_references_are_refused(
    change: Callable[[Path], None], says: str, copy: Path, toy_file: Path
) -> None:
    change(copy)
    for look in (lambda: load(copy), lambda: campaign(copy, toy_file).missing()):
        with pytest.raises(OtherCampaign, match=rf"is damaged \(.*{says}") as raised:
            look()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "reference",
    [
        {"optimum": float("nan")},
        {"random": {"queries": [], "mean": [], "sd": []}},
        {"random": {"queries": [1, 2], "mean": [1.0], "sd": [0.0]}},
    ],
)
def test_references_that_cannot_be_are_refused_whatever_their_checksum(
    reference: dict[str, object], copy: Path
) -> None:
    content = json.loads((copy / "reference.json").read_text())
    content.pop("sha256")
    content["datasets"]["toy"] |= reference
    (copy / "reference.json").write_text(json.dumps(sealed(content)))
    with pytest.raises(
        OtherCampaign, match=r"reference\.json is damaged .* remove it and run the campaign again"
    ):
        references_of(copy)


def test_a_lost_reference_is_made_again(copy: Path, toy_file: Path) -> None:
    before = references_of(copy)
    (copy / "reference.json").unlink()
    with pytest.raises(OtherCampaign, match=r"has no reference\.json"):
        load(copy)
    assert list(campaign(copy, toy_file).run(workers=1)) == []
    assert references_of(copy) == before


def test_measured_times_can_be_lost(copy: Path) -> None:
    shutil.rmtree(copy / MEASURED)
    record = read_unit(copy / FIRST)
    assert record.header.argv == ()
    assert load(copy).searchers == ["local", "random"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damage", ["of another file", "garbage", "cut"])
def test_measured_times_that_do_not_fit_are_lost_and_stop_nothing(
    damage: str, packed: bool, copy: Path, toy_file: Path, tmp_path: Path
) -> None:
    """As after a kill between the two files of a pair, of which what was measured is written first."""
    place, other = copy / MEASURED / FIRST, copy / MEASURED / SECOND
    if packed:
        part = Path(shutil.copytree(copy, tmp_path / "part"))
        (part / FIRST).unlink()
        place, other = (folder / "packed" / MEASURED / "results.parquet" for folder in (copy, part))
        assert [pack_folder(folder) for folder in (copy, part)] == [4, 3]
    changed = {
        "of another file": other.read_bytes(),
        "garbage": b"x" * 900,
        "cut": place.read_bytes()[:-9],
    }
    place.write_bytes(changed[damage])
    assert campaign(copy, toy_file).missing() == []
    (problem,) = verify(copy).problems
    assert problem.endswith("remove it: only measured times are lost")
    assert load(copy).notes == (problem,)
    assert pack_folder(copy) == 4
    assert verify(copy).problems == []


# --- one campaign at a time

HOLD = """
import sys, time
from pathlib import Path
from nasgauge.harness.records.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_campaign_is_refused_and_a_crash_leaves_no_lock(copy: Path, toy_file: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(copy)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        places = [Path(), Path("packed"), Path("packed", MEASURED), Path("trained")]
        partials = [copy / place / f"{PARTIAL}of-the-other" for place in places]
        for partial in partials:
            partial.parent.mkdir(exist_ok=True)
            partial.write_bytes(b"half")
        for _ in range(2):
            with pytest.raises(
                FolderInUse, match=rf"by process {other.pid} on .*; wait until that has ended"
            ):
                list(campaign(copy, toy_file, "evolution").run(workers=1))
        assert all(partial.exists() for partial in partials)
        (copy / HOLDER).unlink()
        with pytest.raises(FolderInUse, match="by another process"), locked(copy):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert len(list(campaign(copy, toy_file, "evolution").run(workers=1))) == 2
    assert not any(partial.exists() for partial in partials)


@pytest.mark.skipif(os.name != "posix", reason="a folder in use is removed on POSIX systems alone")
def test_a_folder_that_is_removed_while_it_is_held_hides_no_other_error(tmp_path: Path) -> None:
    def fail() -> None:
        with locked(tmp_path / "out"):
            shutil.rmtree(tmp_path / "out")
            raise KeyError("what went wrong")

    with pytest.raises(KeyError, match="what went wrong"):
        fail()
    with locked(tmp_path / "out"):
        assert (tmp_path / "out").is_dir()


def test_of_two_campaigns_that_begin_at_once_one_is_refused(toy_file: Path, tmp_path: Path) -> None:
    """Ten times: threads that wait for each other and then claim with different budgets."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    for attempt in range(10):
        barrier, folder = Barrier(2), tmp_path / str(attempt)

        def begin(budget: float, barrier: Barrier = barrier, folder: Path = folder) -> str:
            rules = Rules(budget=Budget(budget))
            made = Campaign.on_table(folder, ["random"], toy_file, seeds=2, rules=rules)
            barrier.wait()
            try:
                list(made.run(workers=1))
            except OtherCampaign as error:
                return type(error).__name__
            return "made"

        with ThreadPoolExecutor(2) as pool:
            words = sorted(pool.map(begin, (5, 6)))
        assert words in (["FolderInUse", "made"], ["OtherCampaign", "made"])
        assert len({record.header.budget for record in records_of(folder)[0]}) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_to_is_one_line(copy: Path, toy_file: Path) -> None:
    copy.chmod(0o500)
    with pytest.raises(PermissionError):
        list(campaign(copy, toy_file, "evolution").run(workers=1))
    copy.chmod(0o700)


# --- verify


def test_a_folder_that_is_as_it_was_written_is_confirmed(
    made: Path, toy: AccuracyTable, tmp_path: Path
) -> None:
    found = verify(made, rerun=3)
    assert (found.files, found.runs, found.rerun) == (4, 40, 3)
    assert (found.problems, found.notes) == ([], [])
    own = Campaign.on_table(tmp_path, ["random"], toy, seeds=2, rules=Rules(budget=Budget(5)))
    assert len(list(own.run(workers=1))) == 1
    found = verify(tmp_path, rerun=1)  # its table is kept in the folder
    assert (found.rerun, found.problems) == (1, [])


def forged(folder: Path) -> None:
    """Better test accuracies, in a file whose digest fits."""
    record = read(folder / FIRST)
    write(folder / FIRST, record.header, replace(record.steps, test=record.steps.test + 1.0))


def repeated(folder: Path) -> None:
    """The same runs in a second file, whose name and digest fit."""
    record = read(folder / FIRST)
    write(
        folder / "random@toy@00000-00010.parquet",
        record.header.model_copy(update={"seeds": (0, 10)}),
        record.steps,
    )


def lowered(folder: Path) -> None:
    """A lower optimum, in a file whose checksum fits."""
    content = json.loads((folder / "reference.json").read_text())
    content.pop("sha256")
    content["datasets"]["toy"]["optimum"] = 59.0
    (folder / "reference.json").write_text(json.dumps(sealed(content)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / FIRST).write_bytes(b"PAR1"), f"{FIRST} is damaged"),
        (lambda folder: (folder / "reference.json").write_text("{}"), "reference.json is damaged"),
        (repeated, "repeats 10 seeds of another file"),
        (forged, f"{FIRST} run again: it gives other results than its file holds"),
        (lowered, "the reference of toy is not that of table"),
    ],
)
def test_what_was_changed_is_found(change: Callable[[Path], object], says: str, copy: Path) -> None:
    change(copy)
    problems = verify(copy, rerun=5).problems
    assert [line for line in problems if says in line], problems


@pytest.mark.parametrize("module", ["surprise", "random=surprise"])
def test_a_stranger_s_searcher_is_not_imported(
    module: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = read(copy / FIRST)
    name = f"{module}:Mine"
    (tmp_path / f"{module}.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    header = record.header.model_copy(update={"searcher": name})
    write(copy / Unit(name, "toy", 0, 9).file, header, record.steps)
    found = verify(copy, rerun=9)
    assert (found.rerun, found.problems) == (4, [])
    assert f"not run again, because no package declares them: {name}" in found.notes[0]
    assert any("imported" in line for line in verify(copy, rerun=9, trusted=[name]).problems)


def test_exit_codes_of_verify(copy: Path) -> None:
    def nasgauge() -> "subprocess.CompletedProcess[str]":
        command = [
            sys.executable,
            "-c",
            "from nasgauge.cli import main; main()",
            "verify",
            str(copy),
            "-j",
            "1",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = nasgauge()
    assert (done.returncode, done.stdout) == (0, "4 files, 40 runs: all checksums fit\n")
    (copy / FIRST).write_bytes(b"")
    done = nasgauge()
    assert done.returncode == 1
    assert done.stdout.endswith("3 files, 30 runs: 1 problems\n")


# --- packed folders


@pytest.mark.parametrize("group", [250, 100_000])
def test_a_packed_folder_is_read_as_before(
    group: int, copy: Path, toy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nasgauge.harness.records.packed._GROUP", group)
    before = {record.header.digest: record for record in records_of(copy)[0]}
    assert pack_folder(copy) == 4
    assert not list(copy.glob("*.parquet"))
    assert not list((copy / MEASURED).glob("*.parquet"))
    after = {record.header.digest: record for record in records_of(copy)[0]}
    assert after.keys() == before.keys()
    for digest, record in after.items():
        assert record.header == before[digest].header
        for name, values in vars(before[digest].steps).items():
            np.testing.assert_array_equal(getattr(record.steps, name), values, strict=name != "cells")
    assert campaign(copy, toy_file).missing() == []
    assert verify(copy, rerun=2).problems == []


def test_what_is_made_later_is_packed_beside_the_rest(copy: Path, toy_file: Path, tmp_path: Path) -> None:
    pack_folder(copy)
    assert len(list(campaign(copy, toy_file, seeds=25).run(workers=1))) == 2
    assert len(list(copy.glob("*.parquet"))) == 2
    assert pack_folder(copy) == 6
    assert campaign(copy, toy_file, seeds=25).missing() == []
    list(campaign(tmp_path / "whole", toy_file, seeds=25).run(workers=1))
    pack_folder(tmp_path / "whole")
    one, other = (load(folder).runs["toy", "local"] for folder in (copy, tmp_path / "whole"))
    np.testing.assert_array_equal(one.incumbent, other.incumbent)


def test_a_packed_file_is_a_table_of_all_queries(copy: Path) -> None:
    records = records_of(copy)[0]
    pack_folder(copy)
    frame = pd.read_parquet(copy / "packed" / "results.parquet")
    assert len(frame) == sum(len(record.steps.seed) for record in records)
    means = frame[frame["query"] == 30].groupby("searcher", observed=True)["test"].mean()
    for searcher in ("local", "random"):
        steps = [record.steps for record in records if record.header.searcher == searcher]
        assert means[searcher] == pytest.approx(
            np.concatenate([part.test[part.query == 30] for part in steps]).mean()
        )


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("damage", ["bit", "cut", "empty"])
def test_a_damaged_packed_file_is_named(damage: str, lost: bool, copy: Path, toy_file: Path) -> None:
    pack_folder(copy)
    path = copy / "packed" / "results.parquet"
    whole = path.read_bytes()
    middle = len(whole) // 3
    path.write_bytes(
        {
            "bit": whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :],
            "cut": whole[:-20],
            "empty": b"",
        }[damage]
    )
    if lost:
        shutil.rmtree(path.parent / MEASURED)
    with pytest.raises(DamagedRecord, match=r"packed file .* (was altered|is damaged)") as raised:
        campaign(copy, toy_file).missing()
    assert "\n" not in str(raised.value)
    assert any("packed file" in line for line in verify(copy).problems) or damage == "bit"


def test_a_folder_with_a_damaged_file_is_not_packed(copy: Path) -> None:
    (copy / FIRST).write_bytes(b"")
    before = contents(copy)
    with pytest.raises(DamagedRecord, match="is damaged"):
        pack_folder(copy)
    assert contents(copy) == before
    assert not (copy / "packed" / "results.parquet").exists()
