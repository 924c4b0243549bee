"""Errors that a user can mend, and the packages that only some commands need."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final


class NasgaugeError(Exception):
    """Bad input: the message says in one line what came, what is allowed and what to do.

    Every error class of the package that a caller may want to catch is a subclass; the command line
    prints its message and ends with exit code 2.
    """


class MissingExtra(NasgaugeError, ImportError):
    """An optional package is not installed; the message says which extra to install."""


ELSEWHERE: Final = "give another path, or move it elsewhere"
"""What to do about a file that stands where one of ours is expected and is none, and so not ours to remove."""


def reason(error: Exception) -> str:
    """What went wrong, in a line for a message: without error numbers of the system, and addresses of pydantic.

    >>> reason(FileNotFoundError(2, "No such file or directory", "results"))
    'No such file or directory'
    """
    problems = getattr(error, "errors", None)
    if callable(problems):  # of pydantic
        listed = [f"{'.'.join(map(str, one['loc'])) or 'content'}: {one['msg']}" for one in problems()]
        return "; ".join(listed[:3])
    if isinstance(error, OSError) and error.strerror is not None:
        return error.strerror
    return " ".join(str(error).split())


EXTRAS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "torch": "train",
        "torchvision": "train",
        "lightning_fabric": "train",
        "safetensors": "train",
        "simplejpeg": "train",
        "lightgbm": "surrogates",
        "optuna": "surrogates",
        "nevergrad": "optimizers",
        "sklearn": "surrogates",
        "analog-nasbench": "bundled",
        "ray": "ray",
        "distributed": "dask",
        "submitit": "slurm",
        "fsspec": "storage",
        "s3fs": "s3",
        "gcsfs": "gs",
    }
)
"""Optional packages, as they are imported, and the extra of nasgauge that installs each."""


def missing(package: str) -> MissingExtra:
    """The error for a package of `EXTRAS` that is not installed.

    >>> print(missing("torch"))
    this needs the package torch, which is not installed; run: pip install "nasgauge[train]"
    """
    return MissingExtra(
        f"this needs the package {package}, which is not installed; "
        f'run: pip install "nasgauge[{EXTRAS[package]}]"'
    )


@contextmanager
def extras_explained() -> Iterator[None]:
    """Raise `MissingExtra` where the import of an optional package fails; a decorator too.

    Raises MissingExtra.

    >>> with extras_explained():  # doctest: +ELLIPSIS
    ...     raise ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn")
    Traceback (most recent call last):
    nasgauge.spaces.errors.MissingExtra: this needs the package torch, which is not installed; ...
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise missing(package) from error
