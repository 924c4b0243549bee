"""Threads: what must be the same on any number of cores is computed with one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def products_on_one_thread() -> AbstractContextManager[object]:
    """NumPy's products on one thread within the block; the libraries are looked for once, which is slow."""
    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limited


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch's operations on a CPU with so many threads each within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
