"""Latency measured on this machine; no figure of it is tested."""

from pathlib import Path

import pytest
import torch

from nasgauge.cli import app
from nasgauge.harness.network.inputs import InvalidBatch
from nasgauge.spaces.costs import UnknownDataset
from nasgauge.spaces.nb201 import NB201
from nasgauge.studies.latency import InvalidMeasurement, Measurement, latencies

CELLS = (NB201()[0], NB201()[7_000])


def test_every_cell_has_a_median_within_its_interval_and_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    found = list(latencies(CELLS, Measurement(dataset="ImageNet16-120", passes=12, warm_up=1, batch=2)))

    assert [one.cell for one in found] == list(CELLS)
    for one in found:
        assert 0 < one.fastest <= one.low <= one.median <= one.high
        assert one.passes == 12
    assert torch.get_num_threads() == before


def test_warm_up_passes_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([time for n in range(8) for time in (n, n + (9.0 if n < 3 else 0.001 * n))])
    monkeypatch.setattr("nasgauge.studies.latency.perf_counter", lambda: next(clock))
    (one,) = latencies(CELLS[:1], Measurement(passes=5, warm_up=3))
    assert one.median == pytest.approx(5.0)
    assert one.fastest == pytest.approx(3.0)


def test_bad_measurements_are_refused() -> None:
    with pytest.raises(InvalidMeasurement, match="passes 0"):
        Measurement(passes=0)
    with pytest.raises(UnknownDataset, match="unknown dataset 'svhn'"):
        Measurement(dataset="svhn")
    with pytest.raises(InvalidBatch, match="no device 'npu'"):
        next(latencies(CELLS, Measurement(device="npu")))


def test_the_command_prints_the_table_beside_it_and_writes_a_file(
    tmp_path: Path,
) -> None:
    out = tmp_path / "latency.csv"
    app(
        ["score", "latency", str(CELLS[1]), "--passes", "8", "--warm-up", "1", "--csv", str(out)],
        standalone_mode=False,
    )

    head, row = out.read_text(encoding="utf-8").splitlines()
    assert head == "cell,median,low,high,fastest,edgegpu,raspi4,edgetpu,pixel3,eyeriss,fpga"
    assert row.startswith(str(CELLS[1]))
