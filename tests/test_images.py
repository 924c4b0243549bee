"""CIFAR-10: the shipped sample, the standard batches, and what is drawn from them."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from nasgauge.data.images import (
    DEVIATION,
    MEAN,
    ImageSet,
    ImagesUnavailable,
    augmented,
    crops,
    open_images,
    read_folder,
)
from nasgauge.data.images import cifar10 as module
from nasgauge.data.importers import ImportFailed


@pytest.fixture(scope="module")
def sample() -> ImageSet:
    return open_images("sample")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_sample_is_the_start_of_cifar10(sample: ImageSet) -> None:
    """The first 512 training images, a frog and two trucks first; their mean is near the whole set's."""
    assert sample.pixels.shape == (512, 3, 32, 32)
    assert sample.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert sample.pixels[0, :, 0, 0].tolist() == [59, 62, 63]
    assert np.abs(sample.pixels.mean((0, 2, 3)) / 255 - MEAN).max() < 0.02
    assert set(sample.labels.tolist()) == set(range(10))
    with np.load(module._SAMPLE, allow_pickle=False) as kept:
        assert "first 512 training images of CIFAR-10" in str(kept["about"])


def test_batches_are_drawn_flipped_shifted_and_normalised(sample: ImageSet) -> None:
    """Each image, normalised back, is a window of its padded original or of its mirror image."""
    drawn, labels = augmented(sample, 16, seeded())
    back = drawn * torch.tensor(DEVIATION).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)
    back = (back * 255).round().to(torch.uint8)
    chosen = torch.randperm(len(sample), generator=seeded())[:16]
    assert labels.tolist() == sample.labels[chosen].tolist()
    mirrored = 0
    for image, place in zip(back, chosen, strict=True):
        padded = torch.nn.functional.pad(torch.from_numpy(sample.pixels[place]), (4, 4, 4, 4))
        straight, mirror = (
            any(
                torch.equal(image, source[:, row : row + 32, column : column + 32])
                for row in range(9)
                for column in range(9)
            )
            for source in (padded, padded.flip(2))
        )
        assert straight or mirror
        mirrored += mirror
    assert 0 < mirrored < 16


def test_pieces_are_small_and_of_one_channel(sample: ImageSet) -> None:
    pieces = crops(sample, 2000, seeded())
    assert pieces.shape == (2000, 1, 3, 3)
    assert abs(pieces.mean()) < 0.15
    assert 0.8 < pieces.std() < 1.2
    assert torch.equal(pieces, crops(sample, 2000, seeded()))
    assert not torch.equal(pieces, crops(sample, 2000, seeded(1)))


def python_batches(folder: Path, pixels: np.ndarray, labels: list[int]) -> None:
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        batch = {b"data": pixels.reshape(len(pixels), -1), b"labels": labels, b"batch_label": b"x"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))


def test_standard_batches_are_read(sample: ImageSet, tmp_path: Path) -> None:
    python_batches(tmp_path, sample.pixels[:4], sample.labels[:4].tolist())
    train, test = open_images(str(tmp_path)), open_images(str(tmp_path), "test")
    assert len(train) == 20
    assert np.array_equal(test.pixels, sample.pixels[:4])
    assert np.array_equal(train.labels[4:8], sample.labels[:4])


def test_png_batches_are_read(sample: ImageSet, tmp_path: Path) -> None:
    """The layout of the npm package: a row of 1,024 pixels is an image."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "package"
    folder.mkdir()
    rows = sample.pixels[:3].transpose(0, 2, 3, 1).reshape(3, 1024, 3)
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        image.fromarray(rows).save(folder / f"{name}.png")
    (folder / "train_lables.json").write_text(json.dumps([6, 9, 9] * 5))
    (folder / "test_lables.json").write_text(json.dumps([6, 9, 9]))
    assert np.array_equal(read_folder(tmp_path).pixels[3:6], sample.pixels[:3])
    assert read_folder(tmp_path, "test").labels.tolist() == [6, 9, 9]


def test_a_batch_that_brings_code_is_not_opened(tmp_path: Path) -> None:
    python_batches(tmp_path, np.zeros((1, 3072), np.uint8), [0])
    (tmp_path / "data_batch_3").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ImportFailed, match=r"data_batch_3: it asks for os\.system"):
        read_folder(tmp_path)


def test_what_is_not_there_is_said(tmp_path: Path, sample: ImageSet) -> None:
    with pytest.raises(ImagesUnavailable, match="choose from sample, cifar10"):
        open_images("cifar11")
    with pytest.raises(ImagesUnavailable, match="neither CIFAR-10's python batches nor"):
        open_images(str(tmp_path))
    with pytest.raises(ImagesUnavailable, match="holds 512 images, a batch of 513"):
        augmented(sample, 513, seeded())
    with pytest.raises(ImagesUnavailable, match="images are bytes"):
        ImageSet("floats", np.zeros((2, 3, 4, 4)), np.zeros(2, np.int64))  # type: ignore[arg-type] # on purpose


def test_cifar10_is_fetched_once_and_checked(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, sample: ImageSet
) -> None:
    fetched = []

    def fetch(_scratch: Path) -> Path:
        fetched.append(1)
        return tmp_path

    monkeypatch.setattr(module, "_fetch", fetch)
    python_batches(tmp_path, sample.pixels[:4], [6, 9, 9, 4])
    with pytest.raises(
        ImagesUnavailable, match=r"not CIFAR-10 as published: part 1 of 5 of its train images"
    ):
        open_images("cifar10")
    md5 = sample.take(np.arange(4)).md5()
    monkeypatch.setattr(module, "BATCH_MD5", {"train": (md5,) * 5, "test": (md5,)})
    assert len(open_images("cifar10")) == 20
    assert len(open_images("cifar10", "test")) == 4
    assert len(fetched) == 2
    for kept in cache.glob("cifar10-*.npz"):
        kept.unlink()
