"""The official files: three forms of the same records, read piece by piece, and what is refused."""

import bz2
import pickle
import shutil
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from nasgauge.cli import app
from nasgauge.data.curves import Curves
from nasgauge.data.importers import ImportFailed, import_official
from nasgauge.data.importers.official import ALLOWED
from nasgauge.data.importers.stream import ALL, PickleStream
from nasgauge.data.published import CACHE_VARIABLE
from nasgauge.data.sources import open_curves, open_table
from nasgauge.data.tables import AccuracyTable, Column
from nasgauge.spaces.cells import Cell

RECORDS = Path(__file__).resolve().parents[2] / "shared" / "nb201" / "raw" / "NATS-tss-v1_0-3ffb9-simple"
needs_records = pytest.mark.skipif(not RECORDS.is_dir(), reason=f"the official records are not in {RECORDS}")
INDICES = (0, 11, 284)
SETS = {
    "cifar10-valid": {"x-valid": "valid", "ori-test": "test"},
    "cifar10": {"ori-test": "test"},
    "cifar100": {"x-valid": "valid", "x-test": "test", "ori-test": "valtest"},
    "ImageNet16-120": {"x-valid": "valid", "x-test": "test", "ori-test": "valtest"},
}


def load(path: Path) -> Any:
    return pickle.loads(bz2.decompress(path.read_bytes()))


def pack(value: object, path: Path) -> Path:
    path.write_bytes(bz2.compress(pickle.dumps(value, protocol=4), 1))
    return path


@pytest.fixture(scope="module")
def records() -> dict[int, Any]:
    """The records as Python's own unpickler reads them."""
    return {index: load(RECORDS / f"{index:06d}.pickle.pbz2") for index in INDICES}


@pytest.fixture(scope="module")
def meta() -> Any:
    return load(RECORDS / "meta.pickle.pbz2")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[AccuracyTable, Curves]:
    path = tmp_path_factory.mktemp("records") / "records.curves.npy"
    table = import_official(RECORDS, name="records", curves=path, partial=True)
    return table, Curves.load(path)


@pytest.fixture(scope="module")
def pth(records: dict[int, Any], meta: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.pth` as the benchmark's authors wrote it: by the package's own classes and torch's older form."""
    torch = pytest.importorskip("torch")
    api = pytest.importorskip("nas_201_api.api_utils")
    infos: dict[int, dict[str, Any]] = {}
    for index, record in records.items():
        infos[index] = {}
        for form, epochs in (("full", "200"), ("less", "12")):
            made = api.ArchResults(index, meta["meta_archs"][index])
            for (dataset, seed), trial in record[epochs]["all_results"].items():
                made.update(dataset, seed, api.ResultsCount.create_from_state_dict(trial))
            made.clear_params()
            infos[index][form] = made.state_dict()
    path = tmp_path_factory.mktemp("pth") / "NAS-Bench-201-v1_1-096897.pth"
    whole = {
        "meta_archs": meta["meta_archs"],
        "total_archs": 15625,
        "arch2infos": infos,
        "evaluated_indexes": set(INDICES),
    }
    torch.save(whole, path, _use_new_zipfile_serialization=False)
    return path


# What comes in


@needs_records
def test_every_figure_of_every_trial_comes_in(
    imported: tuple[AccuracyTable, Curves], records: dict[int, Any]
) -> None:
    table, curves = imported
    checked = 0
    for record in records.values():
        cell = Cell.parse(record["12"]["arch_str"])
        for form, state in record.items():
            for (dataset, seed), trial in state["all_results"].items():
                last = int(form) - 1

                def column(split: str, metric: str) -> Column:
                    return Column.parse(f"{dataset}/{form}/{split}/{seed}/{metric}")  # noqa: B023 - used at once

                assert table.value(cell, column("train", "accuracy")) == trial["train_acc1es"][last]
                assert table.value(cell, column("train", "loss")) == trial["train_losses"][last]
                assert table.value(cell, column("train", "seconds")) == trial["train_times"][last]
                assert table.value(cell, column("test", "latency")) == trial["latency"][0]
                losses = curves.curve(cell, column("train", "loss"))
                assert losses.tolist() == [trial["train_losses"][epoch] for epoch in range(last + 1)]
                for name in trial["eval_names"]:
                    split = SETS[dataset][name]
                    assert (
                        table.value(cell, column(split, "accuracy")) == trial["eval_acc1es"][f"{name}@{last}"]
                    )
                    assert table.value(cell, column(split, "loss")) == trial["eval_losses"][f"{name}@{last}"]
                    assert (
                        table.value(cell, column(split, "seconds")) == trial["eval_times"][f"{name}@{last}"]
                    )
                    if f"{name}@0" in trial["eval_acc1es"]:
                        curve = curves.curve(cell, column(split, "accuracy"))
                        assert curve.tolist() == [
                            trial["eval_acc1es"][f"{name}@{epoch}"] for epoch in range(last + 1)
                        ]
                    checked += 1
    assert checked == 3 * (2 * 2 + 1 + 3 + 3 + 3 * (2 + 1 + 3 + 3))


@needs_records
def test_means_are_over_the_seeds_that_were_trained(imported: tuple[AccuracyTable, Curves]) -> None:
    table, _ = imported
    cell = next(iter(Cell.parse(load(RECORDS / "000011.pickle.pbz2")["12"]["arch_str"]) for _ in range(1)))

    assert round(table.value(cell, Column("cifar10", 200, "test", "mean")), 3) == 91.583
    assert round(table.value(cell, Column("cifar100", 200, "test", "mean")), 3) == 67.607
    assert round(table.value(cell, Column("cifar10-valid", 12, "valid", "mean")), 3) == 63.278


@needs_records
def test_cells_that_are_not_there_are_missing_and_told(imported: tuple[AccuracyTable, Curves]) -> None:
    table, curves = imported

    assert all(np.isnan(values).sum() >= 15622 for values in table.columns.values())
    assert table.limits.startswith("it lacks 15622 of 15625 cells")
    assert len(curves.rows) == 3


@needs_records
def test_three_forms_give_one_table(
    imported: tuple[AccuracyTable, Curves], pth: Path, records: dict[int, Any], meta: Any, tmp_path: Path
) -> None:
    one_file = pack(
        {**meta, "arch2infos": records, "evaluated_indexes": set(INDICES)},
        tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2",
    )
    table, curves = imported
    for path in (pth, one_file):
        beside = tmp_path / "other.curves.npy"
        other = import_official(path, name="other", curves=beside, partial=True)

        assert other.columns.keys() == table.columns.keys()
        for column, values in table.columns.items():
            assert np.array_equal(other.columns[column], values, equal_nan=True), column
        theirs = Curves.load(beside).rows
        for name in curves.rows.dtype.names or ():
            assert np.array_equal(np.sort(theirs[name], 0), np.sort(curves.rows[name], 0), equal_nan=True), (
                name
            )


@needs_records
def test_the_old_unpadded_file_name_is_found_too(tmp_path: Path) -> None:
    shutil.copy(RECORDS / "meta.pickle.pbz2", tmp_path)
    shutil.copy(RECORDS / "000011.pickle.pbz2", tmp_path / "11.pickle.pbz2")

    assert "15624 of 15625" in import_official(tmp_path, name="one", partial=True).limits


@needs_records
def test_an_official_folder_comes_in_by_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))

    refused = CliRunner().invoke(app, ["data", "import", str(RECORDS), "--name", "three"])
    assert isinstance(refused.exception, ImportFailed)
    assert not list(tmp_path.iterdir())

    done = CliRunner().invoke(app, ["data", "import", str(RECORDS), "--name", "three", "--partial"])
    assert done.exit_code == 0, done.output
    assert open_table("three").name == "three"
    assert open_curves("three") is not None
    assert "three" in CliRunner().invoke(app, ["data", "list"]).output
    assert "learning curves: " in CliRunner().invoke(app, ["data", "info", "three"]).output


# What is refused: one line, and nothing left behind


def truncated(path: Path, to: Path) -> Path:
    to.write_bytes(path.read_bytes()[:-500])
    return to


class Foreign:
    """A class that no official file needs."""


@needs_records
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "000011.pickle.pbz2").unlink(), "lacks 15623 of 15625 cells"),
        (
            lambda folder: truncated(RECORDS / "000011.pickle.pbz2", folder / "000011.pickle.pbz2"),
            "000011.pickle.pbz2 is damaged",
        ),
        (
            lambda folder: pack(Foreign(), folder / "000011.pickle.pbz2"),
            r"000011.pickle.pbz2: it asks for .*Foreign, which no such file needs",
        ),
        (
            lambda folder: shutil.copy(RECORDS / "000284.pickle.pbz2", folder / "000011.pickle.pbz2"),
            "000284|twice",
        ),
        (
            lambda folder: shutil.copy(RECORDS / "000284.pickle.pbz2", folder / "11.pickle.pbz2"),
            "000011.pickle.pbz2 and 11.pickle.pbz2 disagree; remove one",
        ),
        (lambda folder: (folder / "meta.pickle.pbz2").unlink(), "it has no meta.pickle.pbz2"),
        (
            lambda folder: pack({"meta_archs": ["|none~0|"]}, folder / "meta.pickle.pbz2"),
            "list of cells is not of NAS-Bench-201",
        ),
        (lambda folder: pack([1, 2], folder / "000011.pickle.pbz2"), "is not an official file"),
    ],
    ids=["missing", "truncated", "foreign", "another cell", "disagree", "no list", "no cells", "no record"],
)
def test_a_spoilt_folder_is_refused(tmp_path: Path, spoil: Callable[[Path], object], says: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in RECORDS.iterdir():
        shutil.copyfile(file, folder / file.name)
    spoil(folder)
    out = tmp_path / "out" / "spoilt.curves.npy"

    with pytest.raises(ImportFailed, match=says):
        import_official(folder, name="spoilt", curves=out, partial="lacks" not in says)
    assert not out.parent.exists() or not list(out.parent.iterdir())


@needs_records
def test_a_truncated_pth_is_refused(pth: Path, tmp_path: Path) -> None:
    broken = truncated(pth, tmp_path / "broken.pth")

    with pytest.raises(ImportFailed, match=r"broken\.pth: it ends in the middle"):
        import_official(broken, name="broken", curves=tmp_path / "out.npy", partial=True)
    assert [path.name for path in tmp_path.iterdir()] == ["broken.pth"]


@needs_records
def test_a_record_under_another_number_is_refused(records: dict[int, Any], meta: Any, tmp_path: Path) -> None:
    swapped = {**meta, "arch2infos": {0: records[11]}, "evaluated_indexes": {0}}

    with pytest.raises(ImportFailed, match="record 0 is not of the cell"):
        import_official(pack(swapped, tmp_path / "x.pickle.pbz2"), name="x", partial=True)


def test_what_torch_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "new.pth").write_bytes(b"PK\x03\x04")
    (tmp_path / "other.pth").write_bytes(pickle.dumps({"meta_archs": []}))
    (tmp_path / "text.pth").write_text("hello")

    for name, says in (
        ("new", "newer torch"),
        ("other", "not written by torch"),
        ("text", "pickle|instruction|refers"),
    ):
        with pytest.raises(ImportFailed, match=says):
            import_official(tmp_path / f"{name}.pth", name="x")
    with pytest.raises(ImportFailed, match="no such file or folder"):
        import_official(tmp_path / "absent.pth", name="x")


# The pickle machine, against Python's own

texts = st.text(max_size=8) | st.sampled_from(["x-valid@0", "x-valid@1", "ori-test@0", "name@"])
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | texts
    | st.binary(min_size=1, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts | st.integers(0, 300), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(texts, inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=12,
)


@given(plain, st.sampled_from([2, 3, 4]))
def test_the_machine_reads_what_pickle_wrote(value: object, protocol: int) -> None:
    assert PickleStream.of(pickle.dumps(value, protocol), ALLOWED).load() == value


@given(st.binary(max_size=60))
def test_noise_is_refused_in_one_way(noise: bytes) -> None:
    with suppress(ImportFailed):
        PickleStream.of(noise, ALLOWED).load()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("length", [12, 200])
def test_curves_come_as_arrays(protocol: int, length: int) -> None:
    epochs = {epoch: epoch / 7 for epoch in range(length)}
    names = [f"x-valid@{epoch}" for epoch in range(length)]
    shared = [dict(zip(names, np.arange(length) * scale, strict=True)) for scale in (0.5, 2.0)]
    data = pickle.dumps([epochs, *({k: float(v) for k, v in d.items()} for d in shared), "x"], protocol)

    first, second, third, last = PickleStream.of(data, ALLOWED).load()
    assert first[ALL].tolist() == list(epochs.values())
    for found, scale in ((second, 0.5), (third, 2.0)):
        merged = {**found}
        values = merged.pop(f"x-valid@{ALL}", np.array([]))
        rest = [merged[name] for name in names[len(values) :]]
        assert [*values.tolist(), *rest] == (np.arange(length) * scale).tolist()
    assert last == "x"


def test_items_are_let_go_one_by_one() -> None:
    many = {"first": 1, "large": {n: OrderedDict(n=n, name="shared") for n in range(2500)}, "last": [2]}
    stream = PickleStream.of(pickle.dumps(many, 4), ALLOWED)
    alive: list[weakref.ref[Any]] = []
    for number, (key, item) in enumerate(stream.items("large")):
        if key is None:
            assert item == {"first": 1, "large": {}, "last": [2]}
            break
        assert (key, item) == (number, {"n": number, "name": "shared"})
        alive.append(weakref.ref(item))
        del item
        assert sum(reference() is not None for reference in alive[-5:]) <= 2
    assert len(alive) == 2500


def test_a_piece_that_was_let_go_cannot_be_asked_for() -> None:
    shared = [1, 2]
    stream = PickleStream.of(pickle.dumps({"large": {n: {"x": shared} for n in range(3)}}, 2), ALLOWED)

    with pytest.raises(ImportFailed, match="refers to a piece that is not kept"):
        list(stream.items("large"))
