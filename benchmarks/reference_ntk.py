"""The plain way to TE-NAS's condition number, written for comparison: one backward pass for each image.

It does what the public code's loop does, in its order: both networks of a candidate, image after image,
gradients gathered from every parameter whose name holds "weight", eigenvalues in float32.
"""

import torch
from torch import Tensor, nn


def condition_number(network: nn.Module, images: Tensor) -> float:
    """Largest over smallest eigenvalue of the kernel of a batch in train mode."""
    network.train()
    network.zero_grad()
    logits = network(images)
    rows = []
    for place in range(len(images)):
        logits[place : place + 1].backward(torch.ones_like(logits[place : place + 1]), retain_graph=True)
        rows.append(
            torch.cat(
                [
                    weight.grad.reshape(-1).detach()
                    for name, weight in network.named_parameters()
                    if "weight" in name and weight.grad is not None
                ]
            )
        )
        network.zero_grad()
    jacobian = torch.stack(rows)
    eigenvalues = torch.linalg.eigvalsh(jacobian @ jacobian.T)
    return float(eigenvalues[-1] / eigenvalues[0])
