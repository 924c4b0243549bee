"""ILSVRC-2012 as folders of JPEGs: what is found, what is refused, and how images are read."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from image_tree import CLASSES, CMYK, GREY, PNG, TRUNCATED, write_tree
from PIL import Image

from nasgauge.data.images import ImagesUnavailable
from nasgauge.data.images.folders import DamagedImages, ImageFiles, open_folders
from nasgauge.data.images.reading import CentralView, Reader, TrainingView


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("tree"), train=6, valid=2, truncated=True)


def copied(tree: Path, to: Path) -> Path:
    shutil.copytree(tree, to)
    (to / TRUNCATED).unlink()
    return to


def place_of(files: ImageFiles, name: str) -> int:
    (place,) = [place for place in range(len(files)) if files.name(place) == name]
    return place


def test_every_image_is_found_with_its_class(tree: Path) -> None:
    folders = open_folders(tree, skip_damaged=True)
    assert folders.classes == CLASSES
    assert folders.skipped == (TRUNCATED,)
    assert np.bincount(folders.train.labels).tolist() == [7, 7, 7, 6]
    assert np.bincount(folders.valid.labels).tolist() == [2, 2, 2, 2]
    for place, label in enumerate(folders.train.labels):
        assert folders.train.name(place).split("/")[1] == CLASSES[label]
        assert Path(folders.train.path(place)).is_file()


def test_a_truncated_file_is_named_and_counted(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DamagedImages, match=rf"1 of 36 images cannot be decoded: {TRUNCATED}; .*--skip-damaged"
    ):
        open_folders(tree)
    kept = copied(tree, tmp_path / "tree")
    (kept / TRUNCATED).write_bytes((tree / TRUNCATED).read_bytes())
    with pytest.raises(DamagedImages):
        open_folders(kept)
    (kept / TRUNCATED).write_bytes((kept / "train" / CLASSES[2] / "train_0.JPEG").read_bytes())
    assert not open_folders(kept).skipped, "a file that was restored in place is good again"


def test_what_was_found_is_kept_until_a_folder_changes(tree: Path, tmp_path: Path) -> None:
    kept = copied(tree, tmp_path / "tree")
    first = open_folders(kept)
    assert open_folders(kept).sha256 == first.sha256
    (kept / GREY).unlink()
    second = open_folders(kept)
    assert len(second.train) == len(first.train) - 1
    assert second.sha256 != first.sha256


def test_missing_and_superfluous_classes_are_named(tree: Path, tmp_path: Path) -> None:
    kept = copied(tree, tmp_path / "tree")
    shutil.rmtree(kept / "val" / CLASSES[1])
    with pytest.raises(
        ImagesUnavailable, match=f"val has no images of 1 of 4 classes: {CLASSES[1]}; copy them"
    ):
        open_folders(kept)
    (kept / "val" / CLASSES[1]).mkdir()
    with pytest.raises(ImagesUnavailable, match=f"val has no images of 1 of 4 classes: {CLASSES[1]}"):
        open_folders(kept)
    shutil.rmtree(kept / "val" / CLASSES[1])
    shutil.rmtree(kept / "train" / CLASSES[1])
    assert len(open_folders(kept).classes) == 3
    for number in range(998):
        (kept / "train" / f"n1{number:07}").mkdir()
    with pytest.raises(ImagesUnavailable, match="holds 1001 class folders, ILSVRC-2012 has at most 1000"):
        open_folders(kept)
    with pytest.raises(ImagesUnavailable, match="is no ILSVRC-2012 tree"):
        open_folders(tmp_path)


def test_the_archive_of_kaggle_is_read_as_it_is(tree: Path, tmp_path: Path) -> None:
    top = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    copied(tree, top)
    lines = ["ImageId,PredictionString"]
    for number, path in enumerate(sorted((top / "val").rglob("*.JPEG"))):
        path.rename(top / "val" / f"ILSVRC2012_val_{number:08}.JPEG")
        lines.append(f"ILSVRC2012_val_{number:08},{path.parent.name} 1 2 3 4 ")
        if not list(path.parent.iterdir()):
            path.parent.rmdir()
    with pytest.raises(ImagesUnavailable, match="8 images in no class folder"):
        open_folders(tmp_path)
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join(lines))
    folders = open_folders(tmp_path)
    assert folders.valid.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("name", [GREY, CMYK, PNG])
def test_uncommon_files_are_read_as_colours(tree: Path, name: str) -> None:
    files = open_folders(tree, skip_damaged=True).train
    batch = Reader(files, CentralView(side=16, share=1.0)).__getitems__([(place_of(files, name), 0)])
    assert batch.pixels.shape == (1, 3, 16, 16)
    assert batch.pixels.is_contiguous(memory_format=torch.channels_last)
    with Image.open(tree / name) as picture:
        expected = np.asarray(picture.convert("RGB")).mean((0, 1))
    found = batch.pixels.float().mean((0, 2, 3)).numpy()
    assert np.abs(found - expected).max() < 25  # the square against the whole
    if name == GREY:
        assert torch.equal(batch.pixels[:, 0], batch.pixels[:, 2])


def test_the_central_view_is_the_usual_one() -> None:
    """Resize the shorter side, then crop: the same square up to its rounding to whole pixels."""
    ramp = torch.arange(256, dtype=torch.uint8).expand(3, 200, 256).contiguous()
    view = CentralView(side=56)(ramp)
    with_pil = Image.fromarray(ramp.permute(1, 2, 0).numpy()).resize((82, 64), Image.Resampling.BILINEAR)
    usual = torch.from_numpy(np.asarray(with_pil.crop((13, 4, 69, 60))).copy()).permute(2, 0, 1)
    assert (view.int() - usual.int()).abs().max() <= 2


def test_an_image_is_augmented_by_its_seed_alone(tree: Path) -> None:
    files = open_folders(tree, skip_damaged=True).train
    view = TrainingView(side=24, jitter=(0.4, 0.4, 0.4, 0.1), augmentation="trivial", erasing=0.5)
    reader = Reader(files, view)
    before = torch.get_rng_state()
    together = reader.__getitems__([(3, 7), (3, 8), (5, 7)]).pixels
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(reader.__getitems__([(3, 8)]).pixels[0], together[1])
    assert not torch.equal(together[0], together[1])


def test_random_erasing_sets_a_rectangle_to_the_mean_colour(tree: Path) -> None:
    files = open_folders(tree, skip_damaged=True).train
    plain, erased = (
        Reader(files, TrainingView(side=24, erasing=share)).__getitems__([(0, 1)]).pixels[0]
        for share in (0.0, 1.0)
    )
    changed = (plain != erased).any(0)
    assert changed.any()
    assert set(map(tuple, erased[:, changed].T.tolist())) == {(124, 116, 104)}


def test_a_file_that_breaks_later_is_named_and_replaced(tree: Path) -> None:
    """Its end is there, so the scan finds nothing; the decoder does."""
    files = open_folders(tree, skip_damaged=True).train
    reader = Reader(files, CentralView(side=8))
    place = place_of(files, PNG)
    path = Path(files.path(place))
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:60] + whole[-30:])
        batch = reader.__getitems__([(place, 0)])
    finally:
        path.write_bytes(whole)
    assert batch.damaged == (PNG,)
    assert torch.equal(batch.pixels, reader.__getitems__([(place + 1, 0)]).pixels)
