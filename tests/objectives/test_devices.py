"""The same losses however the batch and the catalogue are spread."""

from __future__ import annotations

import functools
import re

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tagrec_jax.objectives.gbce import GBCE
from tagrec_jax.objectives.multilabel import (
  Asymmetric,
  DecoupledSoftmax,
  MultilabelSigmoid,
  MultilabelSoftmax,
)
from tagrec_jax.objectives.negatives import Negatives
from tagrec_jax.objectives.pairwise import BPR
from tagrec_jax.objectives.sampled_softmax import SampledSoftmax
from tagrec_jax.objectives.softmax import Softmax
from tagrec_jax.objectives.tiles import Tiling

B, T, D, C, M = 8, 24, 6, 50, 3
QUESTIONS = Tiling(cache_bytes=1, questions=10)
CATALOGUE = Tiling(cache_bytes=1000, most_bytes=1, entries=1)
WEIGHTS = np.linspace(0.5, 2.0, C, dtype=np.float32)
LABELS = {"weights": WEIGHTS, "tiling": QUESTIONS}
OBJECTIVES = {
  "question_tiles": (Softmax(0.1, QUESTIONS), 0),
  "catalogue_tiles": (Softmax(0.1, CATALOGUE), 0),
  "sampled_softmax": (SampledSoftmax(9), 0),
  "gbce": (GBCE(9, 0.75), 0),
  "bpr": (BPR(9), 0),
  "multilabel_softmax": (MultilabelSoftmax(**LABELS), M),
  "multilabel_sigmoid": (MultilabelSigmoid(**LABELS), M),
  "asymmetric": (Asymmetric(gamma=2.0, margin=0.1, **LABELS), M),
  "decoupled_softmax": (DecoupledSoftmax(**LABELS), M),
}


def loss_and_grads(objective, drawn, queries, vectors, bias, targets):
  def total(queries, vectors, bias):
    return objective(queries, vectors, bias, targets, drawn).total

  return jax.value_and_grad(total, argnums=(0, 1, 2))(queries, vectors, bias)


def spread(batch, shape, axes):
  """The batch on a mesh: rows over data and fsdp, the catalogue over tensor."""
  mesh = jax.make_mesh(shape, axes, axis_types=(AxisType.Auto,) * len(axes))
  rows = tuple(name for name in axes if name in ("data", "fsdp"))
  catalogue = tuple(name for name in axes if name == "tensor")
  specs = rows, catalogue, catalogue, rows
  return [
    jax.device_put(x, NamedSharding(mesh, PartitionSpec(names)))
    for x, names in zip(batch, specs, strict=True)
  ]


MESHES = [
  ((2,), ("data",)),
  ((2, 2, 2), ("data", "fsdp", "tensor")),
]


def test_the_same_on_every_mesh(make_batch):
  batches = {
    name: make_batch(B, T, D, C, labels)
    for name, (_, labels) in OBJECTIVES.items()
  }

  @jax.jit
  def run(batches):
    drawn = Negatives.draw(jax.random.key(0), C, 9)
    return {
      name: loss_and_grads(objective, drawn, *batches[name])
      for name, (objective, _) in OBJECTIVES.items()
    }

  expected = run(batches)
  for mesh in MESHES:
    found = run({n: spread(batch, *mesh) for n, batch in batches.items()})
    for name in OBJECTIVES:
      leaves = jax.tree.leaves((found[name], expected[name]))
      half = len(leaves) // 2
      for got, wanted in zip(leaves[:half], leaves[half:], strict=True):
        np.testing.assert_allclose(
          got, wanted, rtol=1e-5, atol=1e-5, err_msg=f"{name} on {mesh}"
        )


@pytest.mark.parametrize("name", ["question_tiles", "catalogue_tiles"])
def test_devices_talk_once_and_never_about_scores(name, make_batch):
  objective, labels = OBJECTIVES[name]
  batch = make_batch(B, T, D, C, labels)
  run = jax.jit(functools.partial(loss_and_grads, objective, None))
  text = run.lower(*spread(batch, (8,), ("data",))).compile().as_text()
  assert text.count("while(") > 0
  for computation in text.split("\n\n"):
    talk = re.findall(
      r"= \S.* (all-\w+|reduce-scatter)(?:-start)?\(", computation
    )
    assert set(talk) <= {"all-reduce"}
    assert not talk or computation.lstrip().startswith("ENTRY")


def test_sizes_the_mesh_does_not_divide_are_not_split(make_batch):
  mesh = jax.make_mesh(
    (4, 2), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2
  )
  batch = make_batch(6, 5, 3, 11)
  run = jax.jit(
    functools.partial(loss_and_grads, Softmax(0.1, QUESTIONS), None)
  )
  whole = jax.device_put(batch, NamedSharding(mesh, PartitionSpec()))
  for got, wanted in zip(
    jax.tree.leaves(run(*whole)), jax.tree.leaves(run(*batch)), strict=True
  ):
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_the_same_under_pmap(make_batch):
  objective = Softmax(0.1, QUESTIONS)
  queries, vectors, bias, targets = make_batch(B, T, D, C)
  expected = jax.jit(functools.partial(loss_and_grads, objective, None))(
    queries, vectors, bias, targets
  )

  def local(queries, vectors, bias, targets):
    out = loss_and_grads(objective, None, queries, vectors, bias, targets)
    loss, (query_grad, *table_grads) = out
    return jax.lax.psum((loss, table_grads), "data"), query_grad

  run = jax.pmap(local, axis_name="data", in_axes=(0, None, None, 0))
  (loss, table_grads), query_grad = run(
    queries.reshape(4, 2, T, D), vectors, bias, targets.reshape(4, 2, T)
  )
  np.testing.assert_allclose(loss[0], expected[0], rtol=1e-5)
  got = query_grad.reshape(B, T, D), table_grads[0][0], table_grads[1][0]
  for grad, wanted in zip(got, expected[1], strict=True):
    np.testing.assert_allclose(grad, wanted, rtol=1e-5, atol=1e-5)
