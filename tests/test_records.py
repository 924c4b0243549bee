"""A result file holds every step and says how to get it again; a damaged one is refused."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nasgauge.harness.records.steps import DamagedRecord, Evaluation, Header, Step, Steps, gather, read, write
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
    assert record.header == HEADER.model_copy(update={"digest": steps.digest})
    assert record.steps.seed.tolist() == [0, 0, 0, 2]
    assert record.steps.query.tolist() == [1, 2, 3, 1]
    assert [Cell.parse(record.steps.cells[place]).rank for place in record.steps.cell] == [5, 9, 5, 9]
    assert np.isnan(record.steps.seconds).all()
    assert record.steps.digest == steps.digest


def test_the_digest_covers_all_but_measured_time() -> None:
    assert some_steps(0.5).digest == some_steps(0.7).digest
    assert some_steps().digest != gather([(0, [])]).digest


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
    with pytest.raises(DamagedRecord, match=r"a\.parquet (is damaged|was altered)") as raised:
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
