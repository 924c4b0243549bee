"""The exact neural tangent kernel of a network in train mode (Jacot et al., 2018).

The kernel of a batch is J Jᵀ. Row b of J is the gradient of the summed logits of image b with respect to the
weights of convolutions and classifier and the scales of batch normalisation; biases are excluded (Chen et al.,
2021: TE-NAS, section 3.1.1). In train mode, batch normalisation couples the images of a batch, so the logits of
one image depend on all images. Methods that compute per-sample gradients independently give a different kernel.

`kernel_by_rows` works for any network and runs one backward pass per image. `kernel` computes the same matrix for
`nasgauge.harness.network.Network` in a single hand-written backward pass over all B cotangents at once:

- Let g be the cotangent of a node. The vector-Jacobian product of a convolution with normalisation into that node
  is W ᵀ∗ gain (g − mean(g) − x̂ mean(g x̂)). All branches into a node share one convolution of g, with output
  channels for each source node. The mean(g) term is the same tensor for all images. The x̂ term is a linear
  combination of the fixed tensors W_c ᵀ∗ x̂_c, hence a matrix product with their coefficients.
- x̂ is linear in the unfolded, centred inputs. Therefore mean(g x̂), the weight gradients and the scale gradients
  all follow from one matrix product of g with these inputs. In the forward pass, so do x̂ and the batch statistics
  of all convolutions that leave a node, from the inputs and their Gram matrix.

Suffixes of names are shapes: N images, B cotangents (one per image, so B = N), C channels, H and W pixels, K rows
of unfolded inputs, P weights or pixels. Cotangents are (N, B, C, H, W), so that the data of one image are contiguous
and fit in the cache. No result is read back before the end, so a GPU is not synchronised.
"""

import torch
from torch import Tensor, nn

from nasgauge.harness.network import Network
from nasgauge.harness.network.inputs import check_images
from nasgauge.harness.network.nb201 import CellModule, ResidualBlock, Stem
from nasgauge.harness.network.unchanged import unchanged
from nasgauge.harness.ntk.parts import Inputs, Workspace, runs
from nasgauge.harness.ntk.passes import BlockPass, CellPass, head


def condition_number(kernel_BB: Tensor) -> float:
    """Ratio of the largest to the smallest eigenvalue of a kernel (B, B), computed in float64.

    Returns NaN for a kernel of zeros or with non-finite entries, and infinity if the smallest eigenvalue is zero or,
    by rounding, negative.

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
    """The kernel (B, B) in float64 of any network that returns logits, with one backward pass per image.

    `images` is a float tensor (B, C, H, W). The state of the network is restored afterwards.

    Raises InvalidBatch.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1))
    >>> kernel_by_rows(network, torch.tensor([[[[1.0, 2.0]]], [[[0.0, 3.0]]]]))  # the Gram matrix of the inputs
    tensor([[5., 6.],
            [6., 9.]], dtype=torch.float64)
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
    """The kernel (B, B) in float64 of a NAS-Bench-201 network or supernet, in a single backward pass.

    `images` is a float tensor (B, C, H, W). Pass the same `workspace` to successive calls to reuse memory. Running
    statistics, gradients and mode of the network do not change.

    Raises InvalidBatch.

    >>> from nasgauge.harness.network import Skeleton, build
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build((("nor_conv_3x3",),) * 6, Skeleton(channels=3, cells=1), generator)
    >>> images = torch.randn(4, 3, 8, 8, generator=generator)
    >>> torch.allclose(kernel(network, images), kernel_by_rows(network, images), rtol=1e-3)
    True
    """
    skeleton = network.skeleton
    check_images(images, network, skeleton.image_channels, halvings=skeleton.stages - 1)
    if not isinstance(network.stem, Stem):
        return kernel_by_rows(network, images)
    memory = workspace or Workspace()
    total_BB = torch.zeros((len(images),) * 2, dtype=torch.float64, device=images.device)
    seen = Inputs(images, [9 * images.shape[1]], images.shape[2:], memory)
    seen.fill(0, images)
    (stem,) = seen.branches(0, [(network.stem.conv, network.stem.norm, 1.0)])
    values = stem.output()
    passes: list[CellPass | BlockPass] = []
    for module in network.body:
        if isinstance(module, CellModule):
            passes.append(CellPass(module, values, memory))
        elif isinstance(module, ResidualBlock):
            passes.append(BlockPass(module, values, memory))
        values = passes[-1].output
    cotangent = head(network, values, total_BB, memory)
    while passes:
        cotangent = passes.pop().back(cotangent, total_BB, memory)
    sums = seen.sums(cotangent, 1)
    for part in runs(cotangent):
        seen.receive(sums, part, cotangent[part])
    stem.gradients(seen.settle(sums, cotangent)[1][0], seen.grams[0], total_BB)
    memory.give(cotangent)
    memory.give(seen.rows_NKP)
    return total_BB
