"""The toy world: all 15,625 cells, accuracy = number of 3x3 convolutions, so the right answer is known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data.sources import CACHE_VARIABLE, open_table
from data.tables import AccuracyTable, Column, View
from harness.spaces import NB201

SHARED = Path(__file__).resolve().parents[2] / "shared" / "nb201" / "raw"


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
def bundled() -> AccuracyTable:
    return open_table("bundled")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real public exports, beside the checkout of the developers."""
    if not SHARED.is_dir():
        pytest.skip(f"the real exports are not at {SHARED}")
    return SHARED
