"""A result file holds every step and says how to get it again; a damaged one is refused."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nasgauge.data.atomic import replacing
from nasgauge.data.sealed import MEASURED
from nasgauge.harness.records.steps import (
    DamagedRecord,
    Evaluation,
    Header,
    Step,
    Steps,
    digest_of,
    gather,
    read,
    write,
)
from nasgauge.spaces.cells import Cell
from nasgauge.spaces.nb201 import NB201

HEADER = Header(
    argv=("nasgauge", "bench"),
    commit="",
    versions={"python": "3.11"},
    table="toy",
    table_sha256="0" * 64,
    limits="",
    dataset="toy",
    metric="toy/12/valid/mean/accuracy",
    report="toy/200/test/mean/accuracy",
    warning="",
    searcher="random",
    settings={},
    budget="3 queries",
    repeats="charge",
    seeds=(0, 1),
)


def some_steps(overhead: float = 0.5) -> Steps:
    space = NB201()

    def step(rank: int) -> Step[Cell]:
        return Step(space[rank], Evaluation(rank / 7, rank / 3, 12.0, float("nan")), True, overhead)

    return gather([(0, [step(5), step(9), step(5)]), (1, []), (2, [step(9)])])


def test_steps_read_back_as_written(tmp_path: Path) -> None:
    steps = some_steps()
    write(tmp_path / "a.parquet", HEADER, steps)
    record = read(tmp_path / "a.parquet")
    assert record.header == HEADER.model_copy(update={"digest": digest_of(HEADER, steps)})
    assert record.steps.seed.tolist() == [0, 0, 0, 2]
    assert record.steps.query.tolist() == [1, 2, 3, 1]
    assert [Cell.parse(record.steps.cells[place]).rank for place in record.steps.cell] == [5, 9, 5, 9]
    assert np.isnan(record.steps.seconds).all()
    assert digest_of(record.header, record.steps) == digest_of(HEADER, steps)


def test_the_digest_covers_all_but_what_was_measured() -> None:
    whole = digest_of(HEADER, some_steps(0.5))
    measured = {"argv": (), "commit": "x", "versions": {}, "host": "elsewhere", "elapsed": 3.0}
    assert digest_of(HEADER.model_copy(update=measured), some_steps(0.7)) == whole
    assert digest_of(HEADER, gather([(0, [])])) != whole
    for name, value in {
        "searcher": "local",
        "budget": "9 queries",
        "seeds": (0, 2),
        "settings": {"a": 1},
    }.items():
        assert digest_of(HEADER.model_copy(update={name: value}), some_steps()) != whole


def test_a_result_file_has_the_same_bytes_whatever_was_measured(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", HEADER, some_steps(0.5))
    other = HEADER.model_copy(update={"argv": ("other",), "host": "elsewhere", "elapsed": 9.0})
    write(tmp_path / "b.parquet", other, some_steps(0.7))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read(tmp_path / "a.parquet").steps.overhead.tolist() == [0.5] * 4
    assert read(tmp_path / "b.parquet").header.host == "elsewhere"


def test_seconds_that_were_measured_are_kept_apart(tmp_path: Path) -> None:
    measured = HEADER.model_copy(update={"seconds": "measured"})
    steps = some_steps()
    for name, seconds in (("a.parquet", 1.0), ("b.parquet", 2.0)):
        write(tmp_path / name, measured, replace(steps, seconds=np.full(4, seconds)))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read(tmp_path / "b.parquet").steps.seconds.tolist() == [2.0] * 4


def test_without_what_was_measured_a_result_stays(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", HEADER, some_steps())
    beside = tmp_path / MEASURED / "a.parquet"
    whole = beside.read_bytes()
    beside.write_bytes(whole[: len(whole) // 2])
    assert read(tmp_path / "a.parquet").lost.endswith("remove it: only measured times are lost")
    beside.unlink()
    record = read(tmp_path / "a.parquet")
    assert record.lost == ""
    assert np.isnan(record.steps.overhead).all()
    assert (record.header.argv, record.header.searcher) == ((), "random")


def test_what_was_measured_belongs_to_one_file(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", HEADER, some_steps())
    write(tmp_path / "b.parquet", HEADER.model_copy(update={"searcher": "local"}), some_steps())
    (tmp_path / MEASURED / "a.parquet").replace(tmp_path / MEASURED / "b.parquet")
    record = read(tmp_path / "b.parquet")
    assert "is that of another file" in record.lost
    assert np.isnan(record.steps.overhead).all()


@pytest.mark.parametrize("place", range(0, 120, 3))
def test_no_flipped_bit_is_accepted(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.parquet"
    write(path, HEADER, some_steps())
    whole = bytearray(path.read_bytes())
    record = read(path)
    whole[place * len(whole) // 120] ^= 1 << place % 8
    path.write_bytes(whole)
    try:
        again = read(path)
    except DamagedRecord:
        return
    assert digest_of(again.header, again.steps) == record.header.digest  # a byte that says nothing


def test_a_changed_header_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, HEADER, some_steps())
    table = pq.read_table(path)
    header = table.schema.metadata[b"nasgauge"].replace(b'"random"', b'"bananas"')
    pq.write_table(table.replace_schema_metadata({b"nasgauge": header}), path)
    with pytest.raises(DamagedRecord, match="was altered"):
        read(path)


def test_no_steps_at_all_are_a_file_too(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", HEADER, gather([]))
    assert len(read(tmp_path / "a.parquet").steps.seed) == 0


@pytest.mark.parametrize("damage", ["truncated", "one byte", "not parquet", "empty", "no header"])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.parquet"
    write(path, HEADER, some_steps())
    whole = path.read_bytes()
    if damage == "no header":
        pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    else:
        path.write_bytes(
            {
                "truncated": whole[: len(whole) // 2],
                "one byte": whole[:30] + bytes([whole[30] ^ 255]) + whole[31:],
                "not parquet": b"seed,query\n0,1\n",
                "empty": b"",
            }[damage]
        )
    with pytest.raises(
        DamagedRecord, match=r"a\.parquet (is damaged|was altered|is no parquet|is a file of another)"
    ) as raised:
        read(path)
    assert "\n" not in str(raised.value)


def test_an_altered_figure_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, HEADER, some_steps())
    table = pq.read_table(path)
    better = table.set_column(table.schema.get_field_index("test"), "test", [table["test"].to_numpy() + 0.01])
    pq.write_table(better.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(DamagedRecord, match="was altered"):
        read(path)


@pytest.mark.skipif(os.name != "posix", reason="folders are opened on POSIX systems alone")
def test_a_file_and_then_its_name_are_brought_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, brought = tmp_path / "a.json", list[tuple[int, bool]]()
    monkeypatch.setattr(os, "fsync", lambda file: brought.append((os.fstat(file).st_ino, path.exists())))
    with replacing(path) as file:
        file.write(b"{}")
    assert brought == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


@pytest.mark.skipif(os.name != "posix", reason="folders are opened on POSIX systems alone")
def test_a_file_system_that_cannot_do_so_for_folders_has_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_files(file: int) -> None:
        if os.path.isdir(f"/dev/fd/{file}"):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", only_files)
    with replacing(tmp_path / "a.json") as file:
        file.write(b"{}")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"{}"]
