from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import jaxtyping
import pytest

from tagrec_jax.core.settings import DataSettings

# Everything that is read is kept.
_EVERYTHING = DataSettings(
  source="folder",
  folder="",
  cache_dir="",
  min_rating=0.0,
  min_person_events=1,
  min_item_events=1,
  max_bad_rows=1.0,
  split="leave_one_out",
  held_out_fraction=0.1,
  text_vocabulary=0,
  text_words=0,
  shop_people=2000,
  shop_items=500,
  shop_tags=20,
  shop_events=20,
)


@pytest.fixture(scope="session")
def data_settings() -> Callable[..., DataSettings]:
  return lambda **changes: dataclasses.replace(_EVERYTHING, **changes)


@pytest.fixture
def unchecked_types() -> Iterator[None]:
  """No checks of annotations: for 100,000 rows they take half a minute."""
  before = jaxtyping.config.jaxtyping_disable
  jaxtyping.config.update("jaxtyping_disable", True)
  yield
  jaxtyping.config.update("jaxtyping_disable", before)
