"""Where pieces of work run: processes of this machine, Ray, Dask or SLURM.

An engine takes a function and its tasks, and yields each task with its result as it finishes, in no order. A
task whose process ended while it ran is run again; if that goes on, its result is `Lost`. Closing the iterator
stops what is still running. Results do not depend on the engine.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from nasgauge.harness.engines.base import Engine, InvalidEngine, Lost, whole
from nasgauge.harness.engines.local import Local
from nasgauge.spaces.errors import missing

__all__ = [
    "ENGINES", "HERE", "Engine", "InvalidEngine", "Local", "Lost", "engine_named", "parse_engine", "whole",
]  # fmt: skip

HERE: Final = Local(1)
"""This process itself."""

ENGINES: Final[Mapping[str, str]] = {
    "local": "joblib",
    "ray": "ray",
    "dask": "distributed",
    "slurm": "submitit",
}
"""Engines by name, with the package of each."""


def engine_named(name: str, options: Mapping[str, str] = {}) -> Engine:
    """An engine by its name, with options as text; connects to nothing yet.

    Raises InvalidEngine, MissingExtra.

    >>> engine_named("local", {"workers": "2"})
    Local(workers=2, memory=False)
    >>> engine_named("local", {"speed": "2"})
    Traceback (most recent call last):
    ...
    nasgauge.harness.engines.base.InvalidEngine: engine local has no option 'speed'; its options: workers, memory
    """
    if name not in ENGINES:
        raise InvalidEngine(f"unknown engine {name!r}; choose from {', '.join(ENGINES)}")
    kind = _engine(name)
    known: dict[str, Any] = {field.name: field.default for field in fields(kind)}
    values: dict[str, object] = {}
    for key, text in options.items():
        if key not in known:
            raise InvalidEngine(f"engine {name} has no option {key!r}; its options: {', '.join(known)}")
        try:
            values[key] = type(known[key])(text)
        except ValueError:
            raise InvalidEngine(
                f"engine {name}: {key} takes a value like {known[key]!r}, not {text!r}"
            ) from None
    engine: Engine = kind(**values)
    return engine


def parse_engine(text: str, more: Mapping[str, str] = {}) -> Engine:
    """An engine from its name and options by comma, with further ones.

    Raises InvalidEngine, MissingExtra.

    >>> parse_engine("local,workers=2")
    Local(workers=2, memory=False)
    """
    name, *pairs = text.split(",")
    options = {key.strip(): value for key, _, value in (pair.partition("=") for pair in pairs)}
    return engine_named(name.strip(), {**options, **more})


def _engine(name: str) -> Any:
    from importlib.util import find_spec

    if find_spec(ENGINES[name]) is None:
        raise missing(ENGINES[name])
    if name == "local":
        return Local
    if name == "ray":
        from nasgauge.harness.engines.ray import Ray

        return Ray
    if name == "dask":
        from nasgauge.harness.engines.dask import Dask

        return Dask
    from nasgauge.harness.engines.slurm import Slurm

    return Slurm
