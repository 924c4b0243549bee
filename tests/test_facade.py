"""The old interface on our table, against the old interface itself on the same official records."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nasgauge.data.curves import Curves
from nasgauge.data.importers import import_official
from nasgauge.data.tables import NotInTable
from nasgauge.facade import NASBench201API, create
from nasgauge.indices import MISSING, NotOffered

RECORDS = Path(__file__).resolve().parents[2] / "shared" / "nb201" / "raw" / "NATS-tss-v1_0-3ffb9-simple"
pytestmark = pytest.mark.skipif(not RECORDS.is_dir(), reason=f"the official records are not in {RECORDS}")

INDICES = (0, 11, 284)
DATASETS = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")


@pytest.fixture(scope="module")
def theirs() -> Any:
    nats_bench = pytest.importorskip("nats_bench", reason="pip install nats-bench to compare with it")
    return nats_bench.create(str(RECORDS), "tss", fast_mode=True, verbose=False)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> NASBench201API:
    path = tmp_path_factory.mktemp("records") / "records.curves.npy"
    table = import_official(RECORDS, name="records", curves=path, partial=True)
    return NASBench201API(table, curves=Curves.load(path), rng=random.Random(7))


@pytest.fixture(autouse=True)
def _the_same_draws(ours: NASBench201API) -> Iterator[None]:
    """The old interface draws from Python's global generator; ours from its own."""
    before = random.getstate()
    random.seed(7)
    ours._rng.seed(7)
    yield
    random.setstate(before)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("hp", ["12", "200"])
def test_every_field_of_every_dataset_is_equal(
    ours: NASBench201API, theirs: Any, index: int, hp: str
) -> None:
    for dataset in DATASETS:
        for is_random in (False, True, 777 if hp == "200" or dataset == "cifar10-valid" else 111):
            expected = theirs.get_more_info(index, dataset, None, hp, is_random)
            found = ours.get_more_info(index, dataset, None, hp, is_random)
            assert found == expected, (dataset, is_random)
            assert list(found) == list(expected)
            random.seed(7)
            ours._rng.seed(7)


@pytest.mark.parametrize("index", INDICES)
def test_every_epoch_is_equal(ours: NASBench201API, theirs: Any, index: int) -> None:
    for hp, epochs in (("12", (0, 5, 11)), ("200", (0, 11, 100, 199))):
        for dataset in DATASETS:
            for iepoch in epochs:
                expected = theirs.get_more_info(index, dataset, iepoch=iepoch, hp=hp, is_random=False)
                assert ours.get_more_info(index, dataset, iepoch=iepoch, hp=hp, is_random=False) == expected


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("hp", ["12", "200"])
def test_costs_are_equal(ours: NASBench201API, theirs: Any, index: int, hp: str) -> None:
    for dataset in DATASETS:
        assert ours.get_cost_info(index, dataset, hp) == theirs.get_cost_info(index, dataset, hp)
        assert ours.get_latency(index, dataset, hp) == theirs.get_latency(index, dataset, hp)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("hp", ["12", "200"])
def test_the_printed_text_is_equal(ours: NASBench201API, theirs: Any, index: int, hp: str) -> None:
    text = theirs.arch(index)

    assert ours.query_by_arch(text, hp) == theirs.query_by_arch(text, hp)


def test_simulated_training_charges_the_same_seconds(ours: NASBench201API, theirs: Any) -> None:
    ours.reset_time()
    theirs.reset_time()
    for index in INDICES:
        for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
            for hp, iepoch in (("12", None), ("12", 3), ("200", None), ("200", 50)):
                expected = theirs.simulate_train_eval(index, dataset, iepoch, hp)
                assert ours.simulate_train_eval(index, dataset, iepoch, hp) == expected
    assert ours.used_time == theirs.used_time > 0


def test_indices_and_texts_are_the_same(ours: NASBench201API, theirs: Any) -> None:
    assert len(ours) == len(theirs) == 15625
    assert list(ours.meta_archs) == theirs.meta_archs
    for index in (0, 1, 284, 15624):
        assert ours[index] == theirs[index] == ours.arch(index)
        assert ours.query_index_by_arch(theirs[index]) == theirs.query_index_by_arch(theirs[index]) == index
        assert ours.get_unique_str(index) == theirs.get_unique_str(index)
    assert ours.query_index_by_arch("no cell") == theirs.query_index_by_arch("no cell") == -1
    assert ours.random() == theirs.random()
    assert ours.evaluated_indexes == INDICES


def test_network_configurations_and_encodings_are_equal(ours: NASBench201API, theirs: Any) -> None:
    for index in INDICES:
        for dataset in DATASETS:
            assert ours.get_net_config(index, dataset) == theirs.get_net_config(index, dataset)
        text = theirs.arch(index)
        assert ours.str2lists(text) == theirs.str2lists(text)
        assert (ours.str2matrix(text) == theirs.str2matrix(text)).all()


@pytest.mark.parametrize("hp", ["12", "200"])
def test_single_trainings_are_equal(ours: NASBench201API, theirs: Any, hp: str) -> None:
    for index in INDICES:
        for dataset in DATASETS:
            found, expected = (api.query_by_index(index, dataset, hp) for api in (ours, theirs))
            assert list(found) == list(expected)
            for seed, training in found.items():
                keys = ("iepoch", "loss", "accuracy", "all_time")
                same = [training.get_train(), expected[seed].get_train()]
                assert sorted(training.eval_names) == sorted(expected[seed].eval_names)
                last = int(hp) - 1
                for name in training.eval_names:
                    theirs_too: Any = expected[seed]
                    if f"{name}@{last}" in theirs_too.eval_acc1es:
                        same += [training.get_eval(name), expected[seed].get_eval(name)]
                for one, other in zip(same[::2], same[1::2], strict=True):
                    assert {key: one[key] for key in keys} == pytest.approx({key: other[key] for key in keys})
                assert training.get_latency() == pytest.approx(expected[seed].get_latency())


@pytest.mark.parametrize(("flop_max", "param_max"), [(None, None), (100.0, None), (None, 0.4)])
def test_the_best_cell_is_the_same(
    ours: NASBench201API, theirs: Any, flop_max: float | None, param_max: float | None
) -> None:
    for index in INDICES:
        theirs.query_by_index(index, None, "12")  # the old interface looks at the cells that were asked for
    for dataset, on in (("cifar10", "valid"), ("cifar100", "test"), ("ImageNet16-120", "valid")):
        expected = theirs.find_best(dataset, on, flop_max, param_max, "200", enforce_all=False)
        assert expected[0] in INDICES or flop_max or param_max
        if expected[0] == -1:
            with pytest.raises(NotInTable, match="no cell of table records has an accuracy and at most"):
                ours.find_best(dataset, on, flop_max, param_max, "200")
        else:
            found = ours.find_best(dataset, on, flop_max, param_max, "200")
            assert found[0] == expected[0]
            assert found[1] == pytest.approx(expected[1])


def test_showing_a_cell_prints_what_is_known(
    ours: NASBench201API, capsys: pytest.CaptureFixture[str]
) -> None:
    ours.show(11)
    shown = capsys.readouterr().out
    assert ours.query_info_str_by_arch(11, "12") in shown
    assert ours.query_info_str_by_arch(11, "200") in shown


def test_what_is_missing_says_what_to_use(ours: NASBench201API, theirs: Any) -> None:
    for name in MISSING:
        assert hasattr(theirs, name)
        with pytest.raises(NotOffered, match=f"has no {name}: "):
            getattr(ours, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ours.nothing


def test_what_is_not_there_is_refused(ours: NASBench201API) -> None:
    with pytest.raises(NotInTable, match="no single trials"):
        ours.get_more_info(1, "cifar10")
    with pytest.raises(NotInTable, match="has no seed 5"):
        ours.get_more_info(0, "cifar10", is_random=5)
    with pytest.raises(NotInTable, match="unknown dataset 'mnist'"):
        ours.get_more_info(0, "mnist")
    with pytest.raises(NotInTable, match="no cell 15625"):
        ours.arch(15625)
    with pytest.raises(NotInTable, match="has no set 'x-test'; choose from x-valid, ori-test"):
        ours.query_by_index(11, "cifar10-valid", "200")[777].get_eval("x-test")
    with pytest.raises(NotInTable, match="cifar100 has no set 'all'; choose from train, x-valid"):
        ours.find_best("cifar100", "all")
    with pytest.raises(NotInTable, match="choose tss"):
        create(ours.table, "sss")


def test_a_table_without_times_cannot_simulate_training(ours: NASBench201API) -> None:
    timeless = {
        column: values for column, values in ours.table.columns.items() if column.metric == "accuracy"
    }
    bare = NASBench201API(replace(ours.table, columns=timeless))

    with pytest.raises(NotInTable, match="has no training seconds of cifar10"):
        bare.simulate_train_eval(11, "cifar10")


# The shipped table, beside the official records of the same cells


@pytest.mark.parametrize("index", INDICES)
def test_the_shipped_table_has_the_official_values(theirs: Any, index: int) -> None:
    shipped = NASBench201API()
    for dataset in DATASETS:
        expected = theirs.get_more_info(index, dataset, None, "200", False)
        found = shipped.get_more_info(index, dataset, None, "200", False)
        for key in ("valid-accuracy", "test-accuracy", "train-all-time"):
            if found.get(key) is not None:
                assert found[key] == pytest.approx(expected[key], rel=1e-9), (dataset, key)
    for seed in (777, 888, 999):
        expected = theirs.get_more_info(index, "cifar100", None, "200", seed)
        assert shipped.get_more_info(index, "cifar100", None, "200", seed)["valid-accuracy"] == pytest.approx(
            expected["valid-accuracy"], rel=1e-9
        )


def test_the_shipped_table_charges_training_alone(theirs: Any) -> None:
    shipped = NASBench201API()
    for hp in ("12", "200"):
        _, _, cost, total = shipped.simulate_train_eval(0, "cifar100", hp=hp)
        training = theirs.get_more_info(0, "cifar100", None, hp, False)["train-all-time"]
        assert cost == pytest.approx(training)
    assert total == shipped.used_time > cost


def test_the_shipped_table_prints_what_it_has() -> None:
    text = NASBench201API().query_info_str_by_arch(11, "200")

    assert "ImageNet16-120 valid : [top1 = 30.41%], test : [top1 = 30.17%]" in text
    assert "loss" not in text
