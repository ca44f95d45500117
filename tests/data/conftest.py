from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import jaxtyping
import pytest

from configs import base
from tagrec_jax.core.settings import DataSettings, from_dict

# Everything that is read is kept.
_EVERYTHING = dataclasses.replace(
  from_dict(base.get_config().to_dict()).data,
  source="folder",
  min_person_events=1,
  max_bad_rows=1.0,
  text_vocabulary=0,
  text_words=0,
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
