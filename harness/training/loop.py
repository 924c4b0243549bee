"""The training loop. A Lightning Fabric object sets the device, the precision and the number of processes."""

import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.trainings import Epoch
from nasgauge.harness.training.feeding import Augmenter, DeviceImages, batches_in_order, epoch_generator
from nasgauge.harness.training.pools import convolve_pools
from nasgauge.spaces.errors import NasgaugeError

HeldOut = Literal["valid", "test"]
EVALUATION_BATCH = 1000
"""Images per forward pass in evaluation."""


class TrainingDiverged(NasgaugeError, ValueError):
    """Raised when the training loss is not finite."""


class Training:
    """The training of one network with one recipe; `epochs` runs it.

    Validation images are evaluated every `evaluate_every` epochs and after the last epoch, test images only after the
    last. Training steps do not synchronise with the device. With several processes, each takes its share of every
    batch and uses batch statistics of its share.

    On a CPU, the 3x3 average pools of the network are replaced by convolutions (`nasgauge.harness.training.pools`).

    >>> from nasgauge.data.images import open_splits
    >>> from nasgauge.harness.network import Skeleton, build
    >>> from nasgauge.harness.training.feeding import weights_generator
    >>> from nasgauge.harness.training.machine import Machine
    >>> splits, fabric = open_splits("made-up"), Machine(device="cpu", precision="32").fabric()
    >>> images, valid = (
    ...     DeviceImages.put(part.pixels, part.labels, splits.mean, splits.deviation, fabric.device)
    ...     for part in (splits.train, splits.valid)
    ... )
    >>> recipe = Recipe(name="example", epochs=1, images=64, channels=2, cells=1)
    >>> network = build((("skip_connect",),) * 6, Skeleton(channels=2, cells=1), weights_generator(0))
    >>> feed = Augmenter(images, recipe, padding=splits.padding)
    >>> training = Training(network, recipe, feed, {"valid": valid}, fabric, seed=0)
    >>> [metrics.epoch for metrics in training.epochs()]
    [1]
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        feed: Augmenter,
        held_out: Mapping[HeldOut, DeviceImages],
        fabric: Fabric,
        *,
        seed: int,
        evaluate_every: int = 1,
        compiled: bool = False,
    ) -> None:
        self.recipe = recipe
        self.seed = seed
        self.done = 0
        """Number of completed epochs."""
        self._feed = feed
        self._held_out = held_out
        self._fabric = fabric
        self._every = evaluate_every
        network = network.to(fabric.device).to(memory_format=torch.channels_last)
        if fabric.device.type == "cpu":
            convolve_pools(network)
        self.network = network
        self._optimizer = torch.optim.SGD(
            network.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.momentum > 0,
            fused=True,
        )
        self._mean = (
            AveragedModel(
                network,
                multi_avg_fn=get_ema_multi_avg_fn(recipe.average),  # type: ignore[no-untyped-call]  # torch's own lacks types
                use_buffers=True,
            )
            if recipe.average
            else None
        )
        self._model, self._stepper = fabric.setup(network, self._optimizer)
        self._forward = torch.compile(self._model) if compiled else self._model

    def epochs(self, on_step: Callable[[float], None] = lambda _share: None) -> Iterator[Epoch]:
        """Train the remaining epochs of the recipe and yield the metrics of each.

        `on_step` is called after each step has been submitted to the device, with the step's share of an epoch.

        Raises TrainingDiverged.
        """
        while self.done < self.recipe.epochs:
            start = time.perf_counter()
            rate = self.recipe.rate(self.done)
            loss, accuracy = self._train_epoch(rate, on_step)
            trained = time.perf_counter() - start
            last = self.done + 1 == self.recipe.epochs
            valid = test = (float("nan"), float("nan"))
            if "valid" in self._held_out and (last or (self.done + 1) % self._every == 0):
                valid = self.evaluate(self._held_out["valid"])
            if "test" in self._held_out and last:
                test = self.evaluate(self._held_out["test"])
            self.done += 1
            yield Epoch(
                self.done,
                rate,
                loss,
                accuracy,
                *valid,
                *test,
                images_per_second=self._feed.count / trained,
                seconds=time.perf_counter() - start,
                peak_memory=_peak_memory(self._fabric.device),
            )

    def _train_epoch(self, rate: float, on_step: Callable[[float], None]) -> tuple[float, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._model.train()
        sums = torch.zeros(3, device=self._fabric.device)  # loss, correct predictions, images
        generator = epoch_generator(self.seed, self.done)
        parts = {"part": self._fabric.global_rank, "parts": self._fabric.world_size}
        for images, labels in self._feed.epoch(generator, **parts):
            self._stepper.zero_grad()
            logits = self._forward(images)
            loss = cross_entropy(logits.float(), labels, label_smoothing=self.recipe.smoothing)
            self._fabric.backward(loss)
            self._stepper.step()
            if self._mean is not None:
                self._mean.update_parameters(self.network)
            with torch.no_grad():
                _tally(sums, loss, logits, labels)
            on_step(len(labels) * parts["parts"] / self._feed.count)
        loss_sum, right, seen = _list(self._reduced(sums))
        if not loss_sum - loss_sum == 0:  # neither NaN nor infinite
            raise TrainingDiverged(
                f"the loss of epoch {self.done + 1} is not finite at learning rate {rate:.4g}; "
                "lower it, or train in float32 (--precision 32)"
            )
        return loss_sum / seen, 100 * right / seen

    def _reduced(self, sums: Tensor) -> Tensor:
        total = self._fabric.all_reduce(sums, reduce_op="sum")
        assert isinstance(total, Tensor)  # its return type also covers dicts
        return total

    @torch.no_grad()
    def evaluate(self, images: DeviceImages) -> tuple[float, float]:
        """Mean cross-entropy and accuracy in percent, of the current weights or of their moving average."""
        model = self._model if self._mean is None else self._mean
        model.eval()
        sums = torch.zeros(3, device=self._fabric.device)
        precision: AbstractContextManager[None] = self._fabric.autocast()
        for batch, labels in batches_in_order(images, EVALUATION_BATCH):
            with precision:
                logits = model(batch)
            _tally(sums, cross_entropy(logits.float(), labels), logits, labels)
        loss_sum, right, seen = _list(sums)
        return loss_sum / seen, 100 * right / seen

    def state(self) -> dict[str, Tensor]:
        """The state of the training as CPU tensors: weights, buffers, momentum, moving averages, loss scale."""
        tensors = {f"weights.{name}": value for name, value in self.network.state_dict().items()}
        for place, memory in self._optimizer.state_dict()["state"].items():
            if memory["momentum_buffer"] is not None:
                tensors[f"momentum.{place}"] = memory["momentum_buffer"]
        if self._mean is not None:
            tensors |= {f"average.{name}": value for name, value in self._mean.state_dict().items()}
        scale = self._fabric.strategy.precision.state_dict().get("scale")  # loss scale, only for float16
        if scale is not None:
            tensors["scale"] = torch.tensor(float(scale))
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], done: int) -> None:
        """Restore a `state` that was taken after `done` epochs."""
        self.network.load_state_dict(_under("weights.", tensors))
        optimizer = deepcopy(self._optimizer.state_dict())
        weights = list(self.network.parameters())
        optimizer["state"] = {  # same memory layout as the weights, which the fused optimiser needs
            int(place): {"momentum_buffer": torch.empty_like(weights[int(place)]).copy_(value)}
            for place, value in _under("momentum.", tensors).items()
        }
        self._optimizer.load_state_dict(optimizer)
        if self._mean is not None:
            self._mean.load_state_dict(_under("average.", tensors))
        if "scale" in tensors:
            precision = self._fabric.strategy.precision
            precision.load_state_dict(precision.state_dict() | {"scale": float(tensors["scale"])})
        self.done = done


def _tally(sums: Tensor, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
    right = (logits.argmax(1) == labels).sum()
    sums += torch.stack([loss.detach() * len(labels), right, torch.full_like(loss, len(labels))])


def _list(sums: Tensor) -> list[float]:
    """Copy to the host; the only synchronisation with the device in an epoch."""
    values: list[float] = sums.tolist()
    return values


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
