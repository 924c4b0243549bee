"""Examples in docstrings, as the installed package has them."""

import doctest
import importlib
import warnings

import pytest
from house import MODULES


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_examples_of_a_module_hold(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        failed, _tried = doctest.testmod(importlib.import_module(name))
    assert not failed
