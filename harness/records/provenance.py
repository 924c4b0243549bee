"""Provenance of a result: command line, commit, host and package versions."""

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path


def provenance(*packages: str) -> dict[str, object]:
    """The header fields `argv`, `commit`, `host` and `versions`, with those of Python, nasgauge and `packages`.

    >>> sorted(provenance("numpy"))
    ['argv', 'commit', 'host', 'versions']
    """
    found = {"python": platform.python_version(), **versions("nasgauge", *packages)}
    return {"argv": tuple(sys.argv), "commit": _commit(), "host": platform.node(), "versions": found}


def versions(*packages: str) -> dict[str, str]:
    """Versions of packages, which are named as they are installed or as they are imported; nothing is imported.

    >>> versions("numpy") == versions("numpy", "numpy"), versions("no_package")
    (True, {'no_package': 'not installed'})
    """
    return dict(map(_version, packages))


@cache
def _version(package: str) -> tuple[str, str]:
    try:
        return package, importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        names = _distributions().get(package)  # none in a checkout that is not installed
    return (names[0], importlib.metadata.version(names[0])) if names else (package, "not installed")


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()  # takes seconds


def processor() -> str:
    """Model name of the processor, as far as the operating system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _commit() -> str:
    """The commit of the checkout, with `+` for uncommitted changes; empty for an installed package."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return ""
    git = ["git", "--no-optional-locks", "-C", str(here)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")
