"""Random batches for proxies: augmented images and small crops, drawn from an explicit generator."""

import torch
from torch import Tensor

from nasgauge.data.images.image_set import ImageSet, ImagesUnavailable, Preparation


def augmented(images: ImageSet, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random training batch: normalised floats (B, 3, H, W) and labels (B,), with B = `count`.

    Images are drawn without replacement, flipped horizontally with probability 1/2, padded with black pixels (4; 2 for
    ImageNet16-120) and cropped to H × W at random, as in NAS-Bench-201.

    Raises ImagesUnavailable if the set has fewer than `count` images.

    >>> import numpy as np
    >>> from nasgauge.data.images import made_up
    >>> images = made_up(20, np.random.default_rng(0))
    >>> batch, labels = augmented(images, 8, torch.Generator().manual_seed(0))
    >>> batch.shape, labels.shape
    (torch.Size([8, 3, 32, 32]), torch.Size([8]))
    """
    pixels, labels = _draw(images, count, generator)
    height, width = pixels.shape[2:]
    flipped = torch.rand(count, generator=generator) < 0.5
    pixels = torch.where(flipped[:, None, None, None], pixels.flip(3), pixels)
    reach = images.preparation.padding
    padded = torch.nn.functional.pad(pixels, (reach,) * 4)
    rows = torch.randint(2 * reach + 1, (count, 1), generator=generator) + torch.arange(height)
    columns = torch.randint(2 * reach + 1, (count, 1), generator=generator) + torch.arange(width)
    places = torch.arange(count)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[places, rows[:, :, None], columns[:, None, :]]
    return _normalise(cropped.permute(0, 3, 1, 2), images.preparation), labels


def crops(images: ImageSet, count: int, generator: torch.Generator, *, size: int = 3) -> Tensor:
    """Random crops of a single channel, normalised: floats (B, 1, size, size), with B = `count`.

    From each image one random channel and position are drawn. If the set has fewer than `count` images, it is used
    repeatedly. TE-NAS counts linear regions on such crops (public code of Chen et al., 2021).

    >>> import numpy as np
    >>> from nasgauge.data.images import made_up
    >>> images = made_up(20, np.random.default_rng(0))
    >>> crops(images, 30, torch.Generator().manual_seed(0)).shape
    torch.Size([30, 1, 3, 3])
    """
    order = [torch.randperm(len(images), generator=generator) for _ in range(-(-count // len(images)))]
    chosen = torch.cat(order)[:count]
    pixels = torch.from_numpy(images.pixels)[chosen]
    height, width = pixels.shape[2:]
    rows = torch.randint(height - size + 1, (count, 1), generator=generator) + torch.arange(size)
    columns = torch.randint(width - size + 1, (count, 1), generator=generator) + torch.arange(size)
    channels = torch.randint(pixels.shape[1], (count, 1, 1), generator=generator)
    places = torch.arange(count)[:, None, None]
    pieces = pixels[places, channels, rows[:, :, None], columns[:, None, :]].float() / 255
    how = images.preparation
    mean, deviation = torch.tensor(how.mean)[channels], torch.tensor(how.deviation)[channels]
    return ((pieces - mean) / deviation)[:, None]


def _draw(images: ImageSet, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    if not 0 < count <= len(images):
        raise ImagesUnavailable(
            f"{images.name} holds {len(images)} images, a batch of {count} cannot be drawn"
        )
    chosen = torch.randperm(len(images), generator=generator)[:count]
    return torch.from_numpy(images.pixels)[chosen], torch.from_numpy(images.labels)[chosen]


def _normalise(pixels: Tensor, how: Preparation) -> Tensor:
    mean, deviation = torch.tensor(how.mean).view(1, 3, 1, 1), torch.tensor(how.deviation).view(1, 3, 1, 1)
    return (pixels.float() / 255 - mean) / deviation
