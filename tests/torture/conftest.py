"""What tests of a case tell beyond whether they passed: see plugin.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.data.conftest import data_settings, unchecked_types
from tests.training.conftest import tiny

__all__ = ["data_settings", "tiny", "unchecked_types"]  # fixtures of theirs too


@pytest.fixture
def trials(request: pytest.FixtureRequest) -> Callable[[int], None]:
  """Takes how many trials a test made."""
  return lambda count: request.node.user_properties.append(("trials", count))


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
  """Takes what was found and what a user is told of it, for the docs."""
  return lambda what, message: request.node.user_properties.append(
    ("told", (what, message))
  )
