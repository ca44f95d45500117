"""The whole model, trained in every layout, as one device trains it."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from configs import quickstart
from tagrec_jax import build
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.sources.storefront import Storefront
from tests import layouts


@pytest.fixture(scope="module")
def made():
  """Settings and data: two tasks, dropout, context, interests, views."""
  config = quickstart.get_config("tiny")
  config.model.product = ("id", "tags")
  config.model.moment = ("hour",)
  config.model.person = ()
  config.model.layers = 1
  config.model.width = 16
  config.model.heads = 4
  config.model.hidden = 32
  config.pipeline.batch_rows = 16
  config.pipeline.row_length = 16
  config.pipeline.max_history = 16
  config.model.interests = 2
  config.objective.tags_weight = 0.5
  config.objective.contrast_weight = 0.2
  config.objective.contrast_views = ("crop", "mask", "reorder")
  # Adam would blow the rounding of gradients that ought to be 0 up to steps.
  config.optimizer.name = "sgd"
  config.optimizer.learning_rate = 0.1
  config.optimizer.warmup_steps = 0
  settings = build.settings(config.to_dict())
  dataset = prepare(
    Storefront(people=60, items=40, tags=4, events_per_person=10), settings.data
  )
  return settings, dataset


@pytest.fixture(scope="module")
def wanted(made):
  settings, dataset = made
  # One device: a pmap over the first, which no layout below is.
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    alone = layouts.on(settings, "pmap", "data", 1, 1, 1)
    return layouts.run(alone, dataset, 3)[1:]


@pytest.mark.parametrize(
  "layout",
  [
    ("jit", "fsdp_tensor", 2, 2, 2),
    pytest.param(
      ("jit", "fsdp_tensor_sequence", 1, 2, 2, 2), marks=pytest.mark.nightly
    ),
    pytest.param(("pmap", "data", -1, 1, 1), marks=pytest.mark.nightly),
    pytest.param(("jit", "data", 8, 1, 1), marks=pytest.mark.nightly),
    pytest.param(("jit", "fsdp", 2, 4, 1), marks=pytest.mark.nightly),
    pytest.param(("jit", "sequence", 2, 1, 1, 4), marks=pytest.mark.nightly),
    pytest.param(
      ("jit", "fsdp_sequence", 1, 4, 1, 2), marks=pytest.mark.nightly
    ),
  ],
  ids=lambda layout: "-".join(map(str, layout)),
)
def test_layouts_agree_with_one_device(made, wanted, layout):
  settings, dataset = made
  live, state, reports = layouts.run(layouts.on(settings, *layout), dataset, 3)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    jax.device_get((state.params, reports)),
    jax.device_get((wanted[0].params, wanted[1])),
  )
  if layout[1].startswith("fsdp_tensor"):
    split = [
      name
      for name, leaf in named_leaves(live.params).items()
      if leaf.addressable_shards[0].data.size < leaf.size
    ]
    assert len(split) > 10, split
