"""The training loop. A Lightning Fabric object sets the device, the precision and the number of processes."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import Precision
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nasgauge.harness.records.recipes import Recipe
from nasgauge.harness.records.trainings import Epoch
from nasgauge.harness.training.checkpoint import under
from nasgauge.harness.training.evaluating import evaluate, on_device, reduced
from nasgauge.harness.training.feeding import Feed, HeldOutImages, epoch_generator, share_seed
from nasgauge.harness.training.machine import peak_memory
from nasgauge.harness.training.mixing import mixed_labels, mixer
from nasgauge.harness.training.optimizing import (
    FIRST_SCALE,
    moving_average,
    optimizer_for,
    optimizer_state,
    restore_optimizer,
)
from nasgauge.spaces.errors import NasgaugeError

HeldOut = Literal["valid", "test"]
_NOT_EVALUATED: Final = (float("nan"),) * 3


@runtime_checkable
class DropsPaths(Protocol):
    """A network that drops paths, with a probability that rises during training."""

    def set_drop_path(self, share: float) -> None:
        """Set the share of the training that is done."""


class TrainingDiverged(NasgaugeError, ValueError):
    """Raised when the training loss or a weight is not finite."""


@dataclass(frozen=True)
class Step:
    """Progress of a training after an optimiser step."""

    share: float
    """What was done since the last call, in epochs."""
    epoch: int = 0
    """Counted from 1; 0 for epochs that were done before."""
    step: int = 0
    """Steps of this epoch that are done."""
    steps: int = 0
    """Steps of an epoch."""
    images: int = 0
    """Images of the step."""
    sums: Tensor | None = None
    """Sums over this epoch, on the device: loss, correct predictions, images of this process."""

    @property
    def loss(self) -> float:
        """Mean training loss of this epoch up to now, in this process. Reading it waits for the device."""
        assert self.sums is not None
        total, _, seen = self.sums.tolist()
        return float(total / seen) if seen else float("nan")


class Training:
    """The training of one network with one recipe; `epochs` runs it.

    Validation images are evaluated every `evaluate_every` epochs and after the last epoch, test images only after the
    last. Training steps do not wait for the device, apart from `on_step`, updates of a moving average and the scaling of float16.

    A batch is divided into shares, at least one for each process; with `shares` of a process above 1, their gradients
    are accumulated. Batch statistics are those of a share, so two processes with one share each compute what one
    process with two shares computes.

    On a CPU, the 3x3 average pools of the network are replaced by convolutions (`nasgauge.harness.training.pools`).

    >>> from nasgauge.data.images import open_splits
    >>> from nasgauge.harness.network import Skeleton, build
    >>> from nasgauge.harness.training.feeding import Augmenter, DeviceImages, weights_generator
    >>> from nasgauge.harness.training.machine import Machine
    >>> splits, fabric = open_splits("made-up"), Machine(device="cpu", precision="32").fabric()
    >>> how = splits.preparation
    >>> images, valid = (
    ...     DeviceImages.put(part.pixels, part.labels, how.mean, how.deviation, fabric.device)
    ...     for part in (splits.train, splits.valid)
    ... )
    >>> recipe = Recipe(name="example", epochs=1, images=64, channels=2, cells=1)
    >>> network = build((("skip_connect",),) * 6, Skeleton(channels=2, cells=1), weights_generator(0))
    >>> feed = Augmenter(images, recipe, padding=how.padding)
    >>> training = Training(network, recipe, feed, {"valid": valid}, fabric, seed=0)
    >>> [metrics.epoch for metrics in training.epochs()]
    [1]
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        feed: Feed,
        held_out: Mapping[HeldOut, HeldOutImages],
        fabric: Fabric,
        *,
        seed: int,
        evaluate_every: int = 1,
        compiled: bool = False,
        shares: int = 1,
    ) -> None:
        self.recipe = recipe
        self.seed = seed
        self.done = 0
        """Number of completed epochs."""
        self.step = 0
        """Number of completed steps of the current epoch."""
        self.steps = -(-feed.count // feed.batch)
        """Number of steps of an epoch."""
        self._feed = feed
        self._held_out = held_out
        self.fabric = fabric
        self._every = evaluate_every
        self._shares = range(fabric.global_rank, shares * fabric.world_size, fabric.world_size)
        self.network = network = on_device(network, fabric)
        self._optimizer = optimizer_for(network, recipe, fused=not (self._scaled and recipe.clip))
        self._mean = moving_average(network, recipe.average) if recipe.average else None
        self._sums = torch.zeros(3, device=fabric.device)  # loss, correct predictions, images
        self._mix = mixer(recipe)
        if self._scaled:  # the trainings of a process share the scale of their losses
            self._precision.load_state_dict({**self._precision.state_dict(), **FIRST_SCALE})
        self._model, self._stepper = fabric.setup(network, self._optimizer)
        self._forward = torch.compile(self._model) if compiled else self._model

    def epochs(self, on_step: Callable[[Step], None] = lambda _step: None) -> Iterator[Epoch]:
        """Train the remaining epochs of the recipe and yield the metrics of each.

        `on_step` is called after each step has been submitted to the device. It may call `state`.

        Raises TrainingDiverged, and DamagedImages for files that cannot be decoded.
        """
        while self.done < self.recipe.epochs:
            start, before = time.perf_counter(), self.step
            loss, accuracy = self._train_epoch(on_step)
            trained = time.perf_counter() - start
            rate = self.recipe.rate(self.done)
            last = self.done + 1 == self.recipe.epochs
            valid = test = _NOT_EVALUATED
            if "valid" in self._held_out and (last or (self.done + 1) % self._every == 0):
                valid = self.evaluate(self._held_out["valid"])
            if "test" in self._held_out and last:
                test = self.evaluate(self._held_out["test"])
            self.done += 1
            self.step = 0
            yield Epoch(
                self.done,
                rate,
                loss,
                accuracy,
                *valid[:2],
                *test[:2],
                images_per_second=max(self._feed.count - before * self._feed.batch, 0) / trained,
                seconds=time.perf_counter() - start,
                peak_memory=peak_memory(self.fabric.device),
                valid_top5=valid[2],
                test_top5=test[2],
            )

    def _train_epoch(self, on_step: Callable[[Step], None]) -> tuple[float, float]:
        self._model.train()
        if not self.step:
            self._sums.zero_()
        of = len(self._shares) * self.fabric.world_size
        fed = self._feed.epoch(
            epoch_generator(self.seed, self.done), shares=tuple(self._shares), of=of, first=self.step
        )
        while self.step < self.steps:
            images = min(self._feed.batch, self._feed.count - self.step * self._feed.batch)
            self._prepare_step()
            for share in self._shares:
                self._backward(*next(fed), share, images)
            if self.recipe.clip:
                self.fabric.clip_gradients(
                    self._model, self._stepper, max_norm=self.recipe.clip, error_if_nonfinite=False
                )
            self._stepper.step()
            self._stepper.zero_grad()
            self.step += 1
            if self._mean is not None and self._steps_done % self.recipe.average_every == 0:
                if self.done < self.recipe.warm_up:
                    self._mean.n_averaged.zero_()  # so the next update is a copy
                self._mean.update_parameters(self.network)
            on_step(Step(images / self._feed.count, self.done + 1, self.step, self.steps, images, self._sums))
        self._settle()
        loss_sum, right, seen = self._reduced(self._sums).tolist()
        self._check(loss_sum, self.done + 1)
        return loss_sum / seen, 100 * right / seen

    def _check(self, loss_sum: float, epoch: int) -> None:
        """Raise TrainingDiverged, in all processes, if the loss or a weight is not finite."""
        weights = torch.stack([weight.detach().sum() for weight in self.network.parameters()])
        for what, finite in (("the loss", math.isfinite(loss_sum)), ("a weight", weights.isfinite().all())):
            if not finite:
                raise TrainingDiverged(
                    f"{what} is not finite in epoch {epoch} at learning rate {self.recipe.rate(epoch - 1):.4g}; train in "
                    "another folder with a lower one, or in float32 (--precision 32)"
                )

    def _prepare_step(self) -> None:
        rate = self.recipe.rate(self.done + self.step / self.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        if isinstance(self.network, DropsPaths):
            self.network.set_drop_path(self._steps_done / (self.recipe.epochs * self.steps))

    def _backward(self, images: Tensor, labels: Tensor, share: int, whole: int) -> None:
        """Add the gradient of a share of a batch of `whole` images; processes meet in the last share."""
        later = share != self._shares[-1] and self.fabric.world_size > 1
        with _seeded(share_seed(self.seed, self.done, self.step, share), self.fabric.device):
            target = labels
            if self._mix is not None:
                images, parts = self._mix(images)
            with self.fabric.no_backward_sync(self._model, enabled=later):
                output = self._forward(images)
                heads = output if isinstance(output, tuple) else (output,)
                if self._mix is not None:
                    target = mixed_labels(parts, labels, heads[0].shape[1])
                losses = [
                    cross_entropy(logits.float(), target, label_smoothing=self.recipe.smoothing)
                    for logits in heads
                ]
                loss = losses[0] + self.recipe.auxiliary * losses[1] if len(losses) > 1 else losses[0]
                # processes average their gradients, and shares may differ by an image
                self.fabric.backward(loss * (len(labels) * self.fabric.world_size / whole))
        with torch.no_grad():
            right = (heads[0].argmax(1) == labels).sum()
            self._sums += torch.stack(
                [losses[0].detach() * len(labels), right, torch.full_like(loss, len(labels))]
            )

    @property
    def _steps_done(self) -> int:
        return self.done * self.steps + self.step

    def evaluate(self, images: HeldOutImages) -> tuple[float, float, float]:
        """Mean cross-entropy and top-1 and top-5 accuracy in percent, of the current weights or of their moving average."""
        return evaluate(self._model if self._mean is None else self._mean, images, self.fabric)

    @property
    def _precision(self) -> Precision:
        return self.fabric.strategy.precision

    @property
    def _scaled(self) -> bool:
        """Whether losses are scaled, which they are for float16 alone."""
        return "scale" in self._precision.state_dict()

    def _reduced(self, tensor: Tensor, operation: Literal["sum", "mean"] = "sum") -> Tensor:
        return reduced(self.fabric, tensor, operation)

    @torch.no_grad()
    def _settle(self) -> None:
        """Give all processes the mean of their running statistics, and the first one the sums of all."""
        if self.fabric.world_size == 1:
            return
        modules = (self.network, *((self._mean,) if self._mean is not None else ()))
        buffers = [buffer for module in modules for buffer in module.buffers() if buffer.is_floating_point()]
        for buffer in buffers:
            buffer.copy_(self._reduced(buffer, "mean"))
        self._sums.copy_(self._reduced(self._sums))
        if not self.fabric.is_global_zero:
            self._sums.zero_()

    def state(self) -> dict[str, Tensor]:
        """The state of the training as CPU tensors: weights, buffers, optimiser, moving averages, loss scale, sums.

        All processes must call it together.

        Raises TrainingDiverged.
        """
        self._check(float(self._reduced(self._sums)[0]), self.done + (self.step > 0))
        self._settle()
        tensors = {f"weights.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in optimizer_state(self._optimizer).items()}
        if self._mean is not None:
            tensors |= {f"average.{name}": value for name, value in self._mean.state_dict().items()}
        if self._scaled:
            scale = self._precision.state_dict()
            tensors |= {f"scale.{name}": torch.tensor(float(scale[name])) for name in FIRST_SCALE}
        tensors |= {"epoch.step": torch.tensor(self.step), "epoch.sums": self._sums}
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in tensors.items()
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], done: int) -> None:
        """Restore a `state` that was taken after `done` epochs."""
        self.network.load_state_dict(under("weights.", tensors))
        if self._mean is not None:
            self._mean.load_state_dict(under("average.", tensors))
        restore_optimizer(self._optimizer, under("optimizer.", tensors))
        if self._scaled:
            scale = {name: type(first)(tensors[f"scale.{name}"]) for name, first in FIRST_SCALE.items()}
            self._precision.load_state_dict(self._precision.state_dict() | scale)
        self.done, self.step = done, int(tensors["epoch.step"])
        self._sums.copy_(tensors["epoch.sums"])
        if not self.fabric.is_global_zero:
            self._sums.zero_()


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Meanwhile, PyTorch's default generators of the CPU and of this device start from `seed`."""
    cards = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cards):
        torch.default_generator.manual_seed(seed)
        if cards:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
