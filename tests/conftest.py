"""The toy world: all 15,625 cells, accuracy = number of 3x3 convolutions, so the right answer is known."""

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from nasgauge.data.published import CACHE_VARIABLE
from nasgauge.data.sources import open_table
from nasgauge.data.tables import AccuracyTable, Column, View
from nasgauge.spaces.nb201 import NB201

HERE = Path(__file__).parent
TORCH = find_spec("torch") is not None
collect_ignore = [
    path.name
    for path in HERE.glob("test_*.py")
    if not TORCH
    and re.search(
        r"^(import|from) (torch|lightning_fabric|nasgauge.data.images)\b", path.read_text(), re.MULTILINE
    )
]
settings.register_profile("thorough", settings.default)
"""`pytest --hypothesis-profile=thorough test_fuzz.py`: ten times as many examples."""
SHARED = Path(__file__).resolve().parents[2] / "shared" / "nb201" / "raw"


def pytest_report_header() -> str:
    return "with torch" if TORCH else f"without torch, and without {', '.join(sorted(collect_ignore))}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not TORCH and item.get_closest_marker("torch"):
            item.add_marker(pytest.mark.skip(reason="needs torch, of the extra train"))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, for this process and those that it starts."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(autouse=True)
def _global_generator_is_left_alone() -> Iterator[None]:
    before = np.random.get_state(legacy=False)  # noqa: NPY002 - watched, not used
    yield
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert repr(before) == repr(after), "the test moved numpy's global generator"


@pytest.fixture(scope="session")
def toy() -> AccuracyTable:
    """Validation: the number of 3x3 convolutions; test: ten times that, plus one for each skip."""
    validation = np.array([cell.ops.count("nor_conv_3x3") for cell in NB201()], dtype=np.float64)
    skips = np.array([cell.ops.count("skip_connect") for cell in NB201()], dtype=np.float64)
    search, report = Column("toy", 12, "valid", "mean"), Column("toy", 200, "test", "mean")
    return AccuracyTable(
        name="toy",
        limits="computed, not trained",
        source_sha256="",
        columns={search: validation, report: 10 * validation + skips},
        views={"toy": View(search, report)},
    )


@pytest.fixture(scope="session")
def toy_file(toy: AccuracyTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / "toy.npz"
    toy.save(path)
    return path


@pytest.fixture(scope="session")
def nb201() -> AccuracyTable:
    """The table that the package ships."""
    return open_table("nb201")


@pytest.fixture(scope="session")
def bundled() -> AccuracyTable:
    """The optional second table."""
    if find_spec("analognasbench") is None:  # importing it fails with current setuptools
        pytest.skip("package analog-nasbench is not installed; pip install 'nasgauge[bundled]'")
    return open_table("bundled")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real public exports, beside the checkout of the developers."""
    if not SHARED.is_dir():
        pytest.skip(f"the real exports are not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def campaign_folder(toy: AccuracyTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets, three searchers, 12 seeds of 30 queries each; seeds 10 and 11 of `local` on `second` are missing.

    Not to be written to.
    """
    from nasgauge.harness.search.campaign import Campaign, Rules
    from nasgauge.harness.search.runner import Budget

    folder = tmp_path_factory.mktemp("campaign")
    first = toy.views["toy"]
    second = View(replace(first.search, dataset="second"), replace(first.report, dataset="second"))
    noise = np.random.default_rng(7).normal(scale=3.0, size=len(toy.columns[first.search]))
    table = replace(
        toy,
        name="two toys",
        columns={
            **toy.columns,
            second.search: toy.columns[first.search] + noise / 10,
            second.report: toy.columns[first.report] + noise,
        },
        views={"toy": first, "second": second},
    )
    table.save(folder / "table.npz")
    out = folder / "results"
    searchers = ["random", "evolution:population=10", "local"]
    campaign = Campaign.on_table(
        out, searchers, folder / "table.npz", seeds=12, rules=Rules(budget=Budget(30))
    )
    list(campaign.run(workers=1))
    (out / "local@second@00010-00011.parquet").unlink()
    return out
