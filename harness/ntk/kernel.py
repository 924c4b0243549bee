"""The neural tangent kernel of a network in train mode, exact and fast (Jacot et al., 2018).

The kernel of a batch is J Jᵀ, where row b of J is the gradient of the sum of image b's logits with respect
to all weights of convolutions, classifier and normalisation scales, biases left out (Chen et al., 2021:
TE-NAS, section 3.1.1). In train mode batch normalisation couples the images: every row needs a gradient on
every image, so the usual per-sample shortcuts give another kernel.

`kernel_by_rows` goes back through the network once for each image; it works for any network. `kernel` goes
back once with all cotangents together, by hand, and gives the same kernel of `nasgauge.harness.network.Network`:

- A convolution followed by normalisation sends back W ᵀ∗ gain (g − mean(g) − x̂ mean(g x̂)), g the cotangent
  of the node it ends in. All branches that end in a node share one convolution of g, with an output for each
  of their sources. The mean only adds a tensor that is the same for all images, and the x̂ term lies in the
  span of the fixed tensors W_c ᵀ∗ x̂_c: a matrix product of their coefficients.
- mean(g x̂), the weights' gradients and the scales' gradients all follow from one matrix product of g with
  the unfolded, centred inputs of the node, since x̂ is itself linear in them.

Shapes carry letters: N images, B cotangents (one for each image: B = N), C channels, H and W pixels,
K columns of unfolded inputs, P weights. Cotangents are (N, B, C, H, W): what concerns one image lies
together, small enough for the cache.
"""

import torch
from torch import Tensor, nn

from nasgauge.harness.network import Network
from nasgauge.harness.network.inputs import check_images
from nasgauge.harness.network.nb201 import CellModule, ResidualBlock
from nasgauge.harness.network.unchanged import unchanged
from nasgauge.harness.ntk.parts import Branch, Inputs, Workspace, columns, runs
from nasgauge.harness.ntk.passes import BlockPass, CellPass, head


def condition_number(kernel_BB: Tensor) -> float:
    """Largest over smallest eigenvalue, in float64; NaN for a kernel of zeros or one that is not finite.

    A smallest eigenvalue that rounding makes zero or negative gives infinity.

    >>> condition_number(torch.tensor([[4.0, 0.0], [0.0, 2.0]]))
    2.0
    """
    kernel_BB = kernel_BB.double()
    if not bool(kernel_BB.isfinite().all()):
        return float("nan")
    eigenvalues = torch.linalg.eigvalsh(kernel_BB)
    smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    if largest <= 0:
        return float("nan")
    return largest / smallest if smallest > 0 else float("inf")


def kernel_by_rows(network: nn.Module, images: Tensor) -> Tensor:
    """The kernel (B, B) in float64, one backward pass for each image; any network that gives logits.

    Raises InvalidBatch.
    """
    check_images(images, network)
    weights = [parameter for name, parameter in network.named_parameters() if "weight" in name]
    with unchanged(network), torch.enable_grad():
        network.train()
        for weight in weights:
            weight.requires_grad_(True)
        outputs = network(images).sum(1)
        rows = []
        for place in range(len(images)):
            gradients = torch.autograd.grad(
                outputs[place], weights, retain_graph=True, materialize_grads=True
            )
            rows.append(torch.cat([g.flatten() for g in gradients]))
    jacobian_BP = torch.stack(rows).double()
    return jacobian_BP @ jacobian_BP.T


@torch.no_grad()
def kernel(network: Network, images: Tensor, workspace: Workspace | None = None) -> Tensor:
    """The kernel (B, B) in float64 of a NAS-Bench-201 network or supernet, all rows at once.

    The network's running statistics, gradients and mode are not touched.

    Raises InvalidBatch.
    """
    skeleton = network.skeleton
    check_images(images, network, skeleton.image_channels, halvings=skeleton.stages - 1)
    if network.stem is None:
        return kernel_by_rows(network, images)
    memory = workspace or Workspace()
    total_BB = torch.zeros((len(images),) * 2, dtype=torch.float64, device=images.device)
    stem = Branch.of(images, network.stem.conv, network.stem.norm)
    values = stem.output
    passes: list[CellPass | BlockPass] = []
    for module in network.body:
        if isinstance(module, CellModule):
            passes.append(CellPass(module, values))
        elif isinstance(module, ResidualBlock):
            passes.append(BlockPass(module, values))
        values = passes[-1].output
    cotangent = head(network, values, total_BB, memory)
    while passes:
        cotangent = passes.pop().back(cotangent, total_BB, memory)
    seen = Inputs([columns(images, 3)])
    sums = seen.sums(cotangent, 1)
    for part in runs(cotangent):
        seen.receive(sums, part, cotangent[part])
    stem.gradients(seen.settle(sums, cotangent)[1][0], seen.grams[0], total_BB)
    memory.give(cotangent)
    return total_BB
