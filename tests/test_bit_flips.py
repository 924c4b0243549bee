"""Every kind of file, with each bit of many bytes flipped, cut short, and emptied: refused in a line, or read as it was."""

import io
from collections.abc import Mapping
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filekinds import TORCH, Kind, kinds

from nasgauge.data.tables import AccuracyTable
from nasgauge.spaces.errors import NasgaugeError

HAS_TORCH = find_spec("torch") is not None
WHOLE = ("checkpoint", "scores", "sizes", "baseline", "curves", "searches")
"""Kinds of which no byte may change, but for space between words of JSON; of others, what they say may not."""
NAMES = (
    "unit", "measured", "settings", "reference", "pack", "training", "measured of a training", "baseline", "table",
    "curves", "searches", *TORCH,
)  # fmt: skip
REMEDIES = (
    "remove it",
    "restore",
    "run the campaign again",
    "import it again",
    "give",
    "fetch",
)


@pytest.fixture(scope="module")
def made(toy: AccuracyTable, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Kind]:
    return kinds(tmp_path_factory.mktemp("kinds"), toy, torch=HAS_TORCH)


def outcome(kind: Kind, content: bytes) -> object:
    """What the file says with this content, or None if it is refused as it should be."""
    whole = kind.path.read_bytes()
    kind.path.write_bytes(content)
    said = ""
    try:
        return kind.read()
    except NasgaugeError as error:
        said = str(error)
    finally:
        kind.path.write_bytes(whole)
    assert "\n" not in said
    assert kind.path.name in said
    assert any(remedy in said for remedy in REMEDIES), said
    return None


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.torch) if n in TORCH else n for n in NAMES]
)
def test_a_flipped_bit_is_refused(name: str, made: Mapping[str, Kind]) -> None:
    kind = made[name]
    whole, says = kind.path.read_bytes(), kind.read()
    rng, trials, harmless = np.random.default_rng(len(name)), 60, 0
    for place in np.unique(np.linspace(0, len(whole) - 1, trials).astype(int)).tolist():
        bit = 1 << int(rng.integers(8))
        content = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
        found = outcome(kind, content)
        assert found is None or found == says, f"byte {place} of {len(whole)}, bit {bit}"
        harmless += found is not None
        assert found is None or name not in WHOLE or kind.path.suffix == ".json"
    assert harmless < trials
    for content in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"x"):
        found = outcome(kind, content)
        assert found is None or found == says
    assert kind.read() == says
    print(f"{name}: {trials - harmless} of {trials} refused, the others read as they were")  # noqa: T201


FOREIGN = {"text": b"a thesis, in the only copy", "parquet": b"", "npz": b""}


@pytest.mark.parametrize("content", FOREIGN)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.torch) if n in TORCH else n
        for n in ("unit", "training", "table", *TORCH)
    ],
)
def test_a_file_of_another_kind_is_not_advised_to_be_removed(
    name: str, content: str, made: Mapping[str, Kind]
) -> None:
    """It may be someone's own, which a mistyped path named."""
    kind, whole, foreign = made[name], made[name].path.read_bytes(), io.BytesIO(FOREIGN[content])
    if content == "parquet":
        pq.write_table(pa.table({"mine": [1]}), foreign)
    if content == "npz":
        np.savez(foreign, mine=np.ones(1))
    kind.path.write_bytes(foreign.getvalue())
    try:
        with pytest.raises(NasgaugeError, match="give another path") as raised:
            kind.read()
    finally:
        kind.path.write_bytes(whole)
    assert "remove" not in str(raised.value)
