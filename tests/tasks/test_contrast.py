"""Two views are compared by what their histories tell."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from configs import storefront
from tagrec_jax import build
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.sources.storefront import Storefront


def test_the_moment_which_both_views_share_has_no_part_in_it():
  config = storefront.get_config("tiny")
  config.objective.contrast_weight = 0.1
  config.model.layers, config.pipeline.batch_rows = 1, 2
  settings = build.settings(config.to_dict())
  shop = Storefront(people=20, items=40, tags=4, events_per_person=8)
  dataset = prepare(shop, settings.data)
  model = build.model(settings, dataset)
  params = jax.jit(model.init)(jax.random.key(0))
  film = params["context"]["film"]
  film["kernel"] = jnp.ones_like(film["kernel"])
  arrays = build.train_batches(settings, dataset, (0, 1))(0)
  batch = {name: jnp.asarray(value) for name, value in arrays.items()}

  def loss(params, name):
    return model.losses(params, batch, jax.random.key(1))[name].total

  gradients = {
    name: jax.jit(jax.grad(loss), static_argnums=1)(params, name)
    for name in ("items", "contrast")
  }

  def moves(name, part):
    leaves = jax.tree.leaves(gradients[name][part])
    return sum(np.abs(leaf).sum() for leaf in leaves) > 0

  assert moves("items", "history")
  assert moves("items", "context")
  assert moves("contrast", "history")
  assert not moves("contrast", "context")
