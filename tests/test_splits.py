"""The benchmark's datasets: published files, checked; published lists, or a marked stand-in."""

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_tree import CLASSES, TRUNCATED, write_tree
from PIL import Image
from typer.testing import CliRunner

from nasgauge.cli import app
from nasgauge.data import index_lists
from nasgauge.data.images import (
    DATASETS,
    ImageSet,
    ImagesUnavailable,
    Splits,
    augmented,
    made_up,
    open_images,
    open_splits,
)
from nasgauge.data.images import cifar10 as cifar10_module
from nasgauge.data.images import opening as opening_module
from nasgauge.data.images import splits as splits_module
from nasgauge.data.images.downsampled import CLASSES as IMAGENET16_CLASSES
from nasgauge.data.images.downsampled import open_downsampled
from nasgauge.data.images.folders import DamagedImages
from nasgauge.data.images.published import CIFAR100, IMAGENET16, PublishedSet
from nasgauge.data.importers import ImportFailed
from nasgauge.data.index_lists import INDEX_FILES, SPLIT_FILES, halves, keep_splits, splits_folder
from nasgauge.data.published import CACHE_VARIABLE, WrongFile


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


def write(path: Path, content: Mapping[Any, Any], *, protocol: int = 2) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def pixels(count: int, side: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3 * side * side), dtype=np.uint8)


@pytest.fixture
def cifar100(tmp_path: Path) -> PublishedSet:
    """Its three files with an image of each class (and two in `train`), as Python 2 wrote them."""
    folder = tmp_path / "small" / "cifar-100-python"
    md5 = {}
    for seed, (name, times) in enumerate({"train": 2, "test": 1}.items()):
        batch = {
            b"batch_label": b"training batch 1 of 1",
            b"coarse_labels": [0] * 100 * times,
            b"data": pixels(100 * times, 32, seed),
            b"filenames": [b"x.png"] * 100 * times,
            b"fine_labels": list(range(100)) * times,
        }
        md5[name] = write(folder / name, batch)
    names = {b"coarse_label_names": [b"fish"] * 20, b"fine_label_names": [b"%d" % n for n in range(100)]}
    return replace(
        CIFAR100,
        files={"train": {"train": md5["train"]}, "test": {"test": md5["test"]}},
        names=("meta", write(folder / "meta", names)),
        counts={"train": 200, "test": 100},
    )


def classes16(number: int) -> np.ndarray:
    """Of a batch of downsampled ImageNet: all 1,000, from 1, shuffled."""
    return np.random.default_rng(100 + number).permutation(np.arange(1, 1001))


@pytest.fixture
def imagenet16(tmp_path: Path) -> PublishedSet:
    """Ten batches and one of validation, as Python 3 wrote them, with an image of each class."""
    files = {}
    for number, name in enumerate([*IMAGENET16.files["train"], "val_data"]):
        data = pixels(1000, 16, number)
        batch = {"data": data, "labels": classes16(number).tolist(), "mean": data.mean(0)}
        files[name] = write(tmp_path / "small" / name, batch, protocol=3)
    last = {"val_data": files.pop("val_data")}
    return replace(IMAGENET16, files={"train": files, "test": last}, counts={"train": 1200, "test": 120})


def test_cifar100_is_read_by_its_fine_classes(cifar100: PublishedSet, tmp_path: Path) -> None:
    for folder in (tmp_path / "small", tmp_path / "small" / "cifar-100-python"):
        train = cifar100.read(folder, "train")
        assert train.pixels.shape == (200, 3, 32, 32)
        assert np.array_equal(train.pixels.reshape(200, -1), pixels(200, 32, 0))
        assert train.labels.tolist() == [*range(100), *range(100)]


def test_downsampled_imagenet_is_cut_to_its_first_classes(imagenet16: PublishedSet, tmp_path: Path) -> None:
    """Classes 1 to 120 become 0 to 119, batch after batch, in the order of the files."""
    train = imagenet16.read(tmp_path / "small", "train")
    assert train.pixels.shape == (1200, 3, 16, 16)
    for number in (0, 2, 9):
        here = slice(120 * number, 120 * number + 120)
        kept = classes16(number) <= 120
        assert train.labels[here].tolist() == (classes16(number)[kept] - 1).tolist()
        assert np.array_equal(train.pixels[here].reshape(120, -1), pixels(1000, 16, number)[kept])
    assert len(imagenet16.read(tmp_path / "small", "test")) == 120


def test_images_for_proxies_are_opened_from_a_folder_and_then_by_name(
    cifar100: PublishedSet, imagenet16: PublishedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with the colours, the padding and the classes of its own."""
    monkeypatch.setattr(opening_module, "CIFAR100", cifar100)
    monkeypatch.setattr(opening_module, "IMAGENET16", imagenet16)
    with pytest.raises(ImagesUnavailable, match="ImageNet16-120 is not on this machine: download"):
        open_images("ImageNet16-120")
    (tmp_path / "sixteen").mkdir()
    for name in (*IMAGENET16.files["train"], *IMAGENET16.files["test"]):
        (tmp_path / "small" / name).rename(tmp_path / "sixteen" / name)
    for folder, name, classes, side, padding in (
        ("small", "cifar100", 100, 32, 4),
        ("sixteen", "ImageNet16-120", 120, 16, 2),
    ):
        from_folder, by_name = open_images(str(tmp_path / folder)), open_images(name)
        assert by_name.md5() == from_folder.md5()
        assert (by_name.classes, by_name.pixels.shape[2]) == (classes, side)
        assert by_name.preparation.padding == padding
        black = replace(by_name, pixels=np.zeros_like(by_name.pixels))
        drawn, _ = augmented(black, 2, torch.Generator().manual_seed(0))
        how = by_name.preparation
        assert drawn[0, :, 0, 0].numpy() == pytest.approx(-np.array(how.mean) / how.deviation)
    assert by_name.preparation.mean == pytest.approx(np.array([122.68, 116.66, 104.01]) / 255)


def test_what_is_wrong_with_a_folder_is_said(cifar100: PublishedSet, tmp_path: Path) -> None:
    folder = tmp_path / "small" / "cifar-100-python"
    with pytest.raises(ImagesUnavailable, match="meta names 100 classes; cifar100 has 20"):
        replace(cifar100, classes=20).read(folder, "train")
    with pytest.raises(
        ImagesUnavailable, match="holds 100 test images of 100 classes; cifar100 has 10000 of 100"
    ):
        replace(cifar100, counts=CIFAR100.counts).read(folder, "test")
    with pytest.raises(
        ImagesUnavailable, match=r"train has md5 .* as published has 16019d7e3df5…: get cifar-100"
    ):
        replace(CIFAR100, names=None).read(folder, "train")
    with pytest.raises(ImportFailed, match=r"train is no python batch of 32×32 images: b?'?.*labels"):
        replace(cifar100, labels="labels", names=None).read(folder, "train")
    with pytest.raises(ImportFailed, match="train is no python batch of 5×5 images: cannot reshape"):
        replace(cifar100, side=5).read(folder, "train")
    (folder / "test").unlink()
    with pytest.raises(ImagesUnavailable, match=r"holds no test of cifar100: get cifar-100-python\.tar\.gz"):
        cifar100.read(folder, "test")


def test_imagenet_has_to_be_given_once(
    imagenet16: PublishedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits_module, "IMAGENET16", imagenet16)
    with pytest.raises(
        ImagesUnavailable, match=r"not on this machine: download downsampled ImageNet.*give the folder$"
    ):
        open_splits("ImageNet16-120")
    splits = open_splits("ImageNet16-120", tmp_path / "small")
    assert splits.valid is not None
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (1200, 60, 60)
    assert (splits.classes, splits.side, splits.preparation.padding) == (120, 16, 2)
    assert splits.preparation.mean == pytest.approx((0.48110, 0.45749, 0.40788), abs=1e-5)
    for path in (tmp_path / "small").iterdir():
        path.unlink()
    assert np.array_equal(open_splits("ImageNet16-120").train.pixels, splits.train.pixels)


def test_imagenet16_is_made_from_an_ilsvrc_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole images by the mean of boxes, classes in the order of the development kit, which is not that of the names."""
    tree = write_tree(tmp_path / "tree", train=3, valid=2, truncated=True)
    assert (len(IMAGENET16_CLASSES), IMAGENET16_CLASSES[47]) == (120, "n02441942")
    with pytest.raises(
        ImagesUnavailable, match="lacks 120 of the 120 classes of ImageNet16-120, among them n020"
    ):
        open_downsampled("train", tree, skip_damaged=True)
    chosen = (CLASSES[2], CLASSES[0])
    with pytest.raises(DamagedImages, match=f"1 of 9 images cannot be decoded: {TRUNCATED}"):
        open_downsampled("train", tree, classes=chosen)
    assert len(open_downsampled("train", tree, classes=(CLASSES[1],))) == 4, (
        "files of other classes do not matter"
    )
    train = open_downsampled("train", tree, classes=chosen, skip_damaged=True)
    assert np.bincount(train.labels).tolist() == [4, 4]
    with Image.open(tree / "train" / CLASSES[0] / "train_1.JPEG") as picture:
        pixels = np.asarray(picture).astype(float)
    means = pixels.mean((0, 1))
    same = [np.abs(image.mean((1, 2)) - means).max() < 1 for image in train.pixels[train.labels == 1]]
    assert sum(same) == 1
    assert len(open_downsampled("test", tree, classes=chosen, skip_damaged=True)) == 4
    with pytest.raises(ImagesUnavailable, match="lacks 120 of the 120 classes"):
        open_splits("ImageNet16-120", tree, skip_damaged=True)
    small = replace(IMAGENET16, classes=2)
    monkeypatch.setattr(splits_module, "IMAGENET16", small)
    splits = open_splits("ImageNet16-120")  # from the cache
    assert splits.valid is not None
    assert np.array_equal(splits.train.pixels, train.pixels)
    assert (len(splits.valid), len(splits.test), splits.origin) == (2, 2, "seeded")
    assert splits.skipped == (TRUNCATED,)


def test_imagenet16_names_files_that_only_decoding_shows_to_be_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = write_tree(tmp_path / "tree", train=3, valid=2)
    broken = tree / "val" / CLASSES[1] / "val_0.JPEG"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:300] + whole[-10:])
    name = f"val/{CLASSES[1]}/val_0.JPEG"
    with pytest.raises(DamagedImages, match=f"1 of 8 images cannot be decoded: {name}"):
        open_downsampled("test", tree, classes=CLASSES)
    assert len(open_downsampled("test", tree, classes=CLASSES, skip_damaged=True)) == 7
    assert f"left out 1 damaged images: {name}" in capsys.readouterr().err
    with pytest.raises(DamagedImages):
        open_downsampled("test", tree, classes=CLASSES)
    broken.write_bytes(whole)
    assert len(open_downsampled("test", tree, classes=CLASSES)) == 8, "a restored file is used"


def test_published_lists_are_used_once_they_are_kept(shared: Path) -> None:
    """The benchmark's own halves of 50,000, 10,000 and 6,000 images."""
    assert halves("cifar10-valid").origin == "seeded"
    keep_splits(shared)
    for dataset, lists in INDEX_FILES.items():
        found = halves(dataset)
        assert found.origin == "official"
        assert len(found.first) == len(found.second) == lists.images // 2
    assert halves("cifar10-valid").first[:5].tolist() == [0, 5, 7, 11, 13]
    assert halves("cifar100").first[:5].tolist() == [1, 3, 4, 5, 8]
    assert halves("ImageNet16-120").second[:5].tolist() == [0, 4, 5, 10, 11]


def test_the_stand_in_is_the_same_everywhere_and_marked() -> None:
    found = halves("cifar100")
    assert found.origin == "seeded"
    assert found.first[:5].tolist() == halves("cifar100").first[:5].tolist()
    assert len(np.intersect1d(found.first, found.second)) == 0
    assert len(found.first) == len(found.second) == 5_000


def test_a_spoilt_or_foreign_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongFile, match="there is no file"):
        keep_splits(tmp_path)
    for file in SPLIT_FILES:
        (tmp_path / file.name).write_text("{}")
    with pytest.raises(WrongFile, match=r"cifar-split\.txt has sha256 44136fa355b3…"):
        keep_splits(tmp_path)
    assert not splits_folder().exists()
    splits_folder().mkdir(parents=True)
    (splits_folder() / "cifar-split.txt").write_text("{}")
    with pytest.raises(WrongFile, match="sha256 44136fa355b3"):
        halves("cifar10-valid")


def test_lists_that_overlap_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lists"
    path.write_text(json.dumps({"xvalid": ["int", ["0"] * 3000], "xtest": ["int", ["1"] * 3000]}))
    with pytest.raises(WrongFile, match="does not halve 6000 images"):
        index_lists._read(path, INDEX_FILES["ImageNet16-120"])


def test_the_command_brings_the_lists(shared: Path) -> None:
    assert "splits  which images" in CliRunner().invoke(app, ["data", "list"]).output
    done = CliRunner().invoke(app, ["data", "fetch", "splits", "--from", str(shared)])
    assert done.exit_code == 0, done.output
    assert "3 lists of images, kept in" in done.output
    assert halves("cifar100").origin == "official"
    failed = CliRunner().invoke(
        app, ["data", "fetch", "splits", "--force", "--mirror", "http://127.0.0.1:1/x", "--timeout", "1"]
    )
    assert failed.exit_code
    assert halves("cifar100").origin == "official", "what was there stays"


def small_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    """The shipped sample as five batches of 100 images and a test batch of 12, in the published format."""
    sample = open_images("sample")
    md5: dict[str, tuple[str, ...]] = {"train": (), "test": ()}
    for number in range(6):
        part = sample.take(np.arange(100 * number, min(100 * number + 100, 512)))
        name = f"data_batch_{number + 1}" if number < 5 else "test_batch"
        write(folder / name, {b"data": part.pixels.reshape(len(part), -1), b"labels": part.labels.tolist()})
        md5["train" if number < 5 else "test"] += (part.md5(),)
    monkeypatch.setattr(cifar10_module, "BATCH_MD5", md5)
    return sample


def test_cifar10_is_halved_for_validation_and_whole_for_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = small_cifar10(tmp_path, monkeypatch)
    halved, whole = open_splits("cifar10-valid", tmp_path), open_splits("cifar10", tmp_path)
    assert halved.valid is not None
    assert whole.valid is None
    assert (len(halved.train), len(halved.valid), len(whole.train), len(whole.test)) == (250, 250, 500, 12)
    assert (halved.origin, whole.origin) == ("seeded", "official")
    places = halves("cifar10-valid", 500)
    assert np.array_equal(halved.valid.pixels, sample.pixels[places.second])
    assert np.array_equal(halved.test.pixels, sample.pixels[500:])
    assert (halved.classes, halved.side, halved.preparation.padding) == (10, 32, 4)


def test_cifar10_in_another_order_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published lists mean nothing for images that lie in another order."""
    small_cifar10(tmp_path, monkeypatch)
    (tmp_path / "data_batch_2").rename(tmp_path / "x")
    (tmp_path / "data_batch_3").rename(tmp_path / "data_batch_2")
    (tmp_path / "x").rename(tmp_path / "data_batch_3")
    with pytest.raises(ImagesUnavailable, match="not CIFAR-10 as published: part 2 of 5"):
        open_splits("cifar10-valid", tmp_path)


def test_test_sets_of_the_other_two_are_halved(
    cifar100: PublishedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits_module, "CIFAR100", cifar100)
    splits = open_splits("cifar100", tmp_path / "small")
    assert splits.valid is not None
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (200, 50, 50)
    assert splits.preparation.mean == pytest.approx((0.50706, 0.48667, 0.44078), abs=1e-5)
    assert (splits.classes, splits.preparation.padding, splits.origin) == (100, 4, "seeded")
    for path in (tmp_path / "small").rglob("t*"):
        path.unlink()
    again = open_splits("cifar100")  # kept in the cache
    assert np.array_equal(again.test.pixels, splits.test.pixels)


def test_a_dataset_that_is_not_known_is_refused() -> None:
    with pytest.raises(
        ImagesUnavailable, match=r"choose from cifar10-valid, .*; did you mean ImageNet16-120"
    ):
        open_splits("imagenet16-120")


def test_labels_have_to_fit_the_classes() -> None:
    splits = open_splits("made-up")
    with pytest.raises(ImagesUnavailable, match="made-up has 9 classes, but labels from 0 to 9"):
        replace(splits, classes=9)


def test_the_made_up_set_is_always_the_same() -> None:
    splits = open_splits("made-up")
    assert splits.valid is not None
    assert (len(splits.train), len(splits.valid), len(splits.test)) == (512, 256, 256)
    assert splits.train.md5() == open_splits("made-up").train.md5() == "86ea4a4ed23c1d8a786fa6aa4150fae0"
    assert splits.train.md5() != made_up(512, np.random.default_rng(1)).md5()
    assert np.bincount(splits.train.labels).min() >= 51


def test_every_part_is_prepared_as_the_training_images() -> None:
    """The statistics are those of the made-up training images, not CIFAR-10's."""
    splits = open_splits("made-up")
    assert splits.valid is not None
    assert {part.preparation for part in (splits.train, splits.valid, splits.test)} == {splits.preparation}
    assert splits.preparation.mean == tuple((splits.train.pixels.mean((0, 2, 3)) / 255).tolist())


def test_the_made_up_set_can_be_learnt() -> None:
    """A small network, 8 passes: most test images right, though a tenth would be by chance."""
    splits = open_splits("made-up")
    accuracy = learn(splits, passes=8)
    assert accuracy > 75, accuracy


def learn(splits: Splits, passes: int) -> float:
    def tensors(images: ImageSet) -> tuple[torch.Tensor, torch.Tensor]:
        mean, deviation = (
            torch.tensor(c).view(1, 3, 1, 1) for c in (splits.preparation.mean, splits.preparation.deviation)
        )
        return (torch.from_numpy(images.pixels) / 255 - mean) / deviation, torch.from_numpy(images.labels)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 5, stride=2),
            torch.nn.BatchNorm2d(16),
            torch.nn.ReLU(),
            torch.nn.Conv2d(16, 32, 3, stride=2),
            torch.nn.BatchNorm2d(32),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(32, splits.classes),
        )
        pixels, labels = tensors(splits.train)
        for _ in range(passes):
            for places in torch.split(torch.randperm(len(labels)), 64):
                loss = torch.nn.functional.cross_entropy(net(pixels[places]), labels[places])
                for weight, slope in zip(
                    net.parameters(), torch.autograd.grad(loss, [*net.parameters()]), strict=True
                ):
                    weight.data -= 0.3 * slope
    net.eval()
    with torch.no_grad():
        pixels, labels = tensors(splits.test)
        return 100 * float((net(pixels).argmax(1) == labels).float().mean())


def test_all_datasets_are_listed() -> None:
    assert set(INDEX_FILES) < set(DATASETS)
