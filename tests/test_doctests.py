"""Examples in docstrings, as the installed package has them."""

import doctest
import importlib
import warnings

import pytest
from house import MODULES

from nasgauge.spaces.errors import MissingExtra, extras_explained

WITH_TORCH = ("nasgauge.api.scoring", "nasgauge.api.training", "nasgauge.studies.latency")
"""Modules that import without torch and whose examples need it."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.torch if name in WITH_TORCH else ()) for name in sorted(MODULES)],
)
def test_the_examples_of_a_module_hold(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with extras_explained():
                module = importlib.import_module(name)
        except MissingExtra as error:
            pytest.skip(str(error))
        failed, _tried = doctest.testmod(module)
    assert not failed
