"""The plain way to train a cell, written for comparison: float32, contiguous, a DataLoader with a transform an image."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from nasgauge.data.images import Splits


class Pictures(Dataset[tuple[Tensor, int]]):
    """One image at a time, augmented and normalised as the benchmark does it."""

    def __init__(self, splits: Splits) -> None:
        self.pixels = torch.from_numpy(splits.train.pixels)
        self.labels = splits.train.labels.tolist()
        self.transform = v2.Compose(
            [
                v2.RandomHorizontalFlip(),
                v2.RandomCrop(splits.side, padding=splits.preparation.padding),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(splits.preparation.mean, splits.preparation.deviation),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.transform(self.pixels[place]), self.labels[place]


def epochs(network: nn.Module, splits: Splits, batch: int) -> Callable[[], None]:
    """One call trains for an epoch."""
    loader = DataLoader(Pictures(splits), batch_size=batch, shuffle=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    criterion = nn.CrossEntropyLoss()

    def epoch() -> None:
        network.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(network(images), labels)
            loss.backward()
            optimizer.step()
            loss.item()  # as loops do that print their loss

    return epoch
