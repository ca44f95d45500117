"""The kernels of TPUs, interpreted on a CPU, against a float64 oracle."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from configs import quickstart
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.objectives import catalogue_tiles
from tagrec_jax.objectives.copying import CopySoftmax
from tagrec_jax.objectives.multilabel import MultilabelSoftmax
from tagrec_jax.objectives.pallas_tiles import PallasTiles
from tagrec_jax.objectives.softmax import Softmax
from tagrec_jax.objectives.split import Split
from tagrec_jax.objectives.tiles import Tiling

KERNEL = PallasTiles(questions=8, entries=16, interpret=True)
TILING = Tiling(kernel=KERNEL)


def softmax_row(scores, labels):
  log_p = scores - scores.max()
  log_p -= np.log(np.exp(log_p).sum())
  wanted = np.zeros(scores.size)
  wanted[labels] = 1 / labels.size
  return -wanted @ log_p, np.exp(log_p) - wanted


# Whole tiles and one block of questions; tiles that reach past the end and
# several blocks, of which the last is not full.
@pytest.mark.parametrize("shape", [(2, 4, 5, 32), (2, 13, 8, 37)])
def test_equals_the_oracle(shape, make_batch, check_against_oracle):
  check_against_oracle(Softmax(0.0, TILING), softmax_row, make_batch(*shape))


def test_labels_equal_the_oracle(make_batch, check_against_oracle):
  batch = make_batch(2, 5, 4, 21, M=3)
  check_against_oracle(MultilabelSoftmax(tiling=TILING), softmax_row, batch)


def test_memory_that_nobody_wrote_does_not_count(
  make_batch, check_against_oracle
):
  """A stricter interpreter, which knows of buffers and fills them with NaN."""
  strict = pltpu.InterpretParams(uninitialized_memory="nan")
  kernel = dataclasses.replace(KERNEL, interpret=strict)
  batch = make_batch(1, 7, 4, 32)
  check_against_oracle(Softmax(0.0, Tiling(kernel=kernel)), softmax_row, batch)


def test_scores_may_be_too_large_for_exp(make_batch, check_against_oracle):
  queries, vectors, bias, targets = make_batch(1, 5, 4, 21, scale=200.0)
  batch = queries, vectors, bias - 500.0, targets
  check_against_oracle(Softmax(0.0, TILING), softmax_row, batch, rtol=1e-3)


def test_products_in_bfloat16_are_added_up_in_float32(make_batch):
  """As by XLA's loops, to the rounding of sums; and the table in float32."""
  queries, vectors, bias, targets = make_batch(2, 13, 8, 37, dtype=jnp.bfloat16)

  def run(tiling):
    total = lambda *x: Softmax(0.0, tiling)(*x, targets).total
    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))(
      queries, vectors, bias
    )

  tiles = Tiling(cache_bytes=500, most_bytes=1, entries=1)
  found, wanted = run(TILING), run(tiles)
  np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5)
  for a, b in zip(found[1], wanted[1], strict=True):
    assert a.dtype == b.dtype
    # What was rounded may have been rounded the other way.
    np.testing.assert_allclose(
      a.astype(jnp.float32), b.astype(jnp.float32), rtol=0.02, atol=0.02
    )


def test_copies_are_mixed_in_as_without_the_kernel(make_batch):
  queries, vectors, bias, targets = make_batch(2, 5, 4, 21)
  mixed = jnp.full(targets.shape, -0.7), jnp.full(targets.shape, -3.0)

  def run(tiling):
    total = lambda *x: CopySoftmax(0.5, tiling)(*x, *mixed, targets).total
    return jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))(
      queries, vectors, bias
    )

  for a, b in zip(
    jax.tree.leaves(run(TILING)), jax.tree.leaves(run(Tiling())), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def on_mesh(batch, shape, axes):
  mesh = jax.make_mesh(shape, axes, axis_types=(AxisType.Auto,) * len(axes))
  rows = tuple(name for name in axes if name != "tensor")
  names = rows, ("tensor",), ("tensor",), rows
  return [
    jax.device_put(x, NamedSharding(mesh, PartitionSpec(n)))
    for x, n in zip(batch, names, strict=True)
  ]


def test_parts_of_a_catalogue_are_merged(make_batch):
  batch = make_batch(4, 3, 4, 50)

  @jax.jit
  def run(queries, vectors, bias, targets):
    total = lambda *x: Softmax(0.1, TILING)(*x, targets).total
    return jax.value_and_grad(total, argnums=(0, 1, 2))(queries, vectors, bias)

  spread = run(*on_mesh(batch, (2, 2, 2), ("data", "fsdp", "tensor")))
  for a, b in zip(
    jax.tree.leaves(spread), jax.tree.leaves(run(*batch)), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_a_catalogue_the_devices_do_not_divide_is_told(make_batch):
  batch = make_batch(4, 6, 4, 49)
  mesh = jax.make_mesh(
    (4, 2), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2
  )
  whole = jax.device_put(batch, NamedSharding(mesh, PartitionSpec()))
  with pytest.raises(
    UserError, match="catalogue of 49 on devices along tensor"
  ):
    jax.jit(lambda *x: Softmax(0.0, TILING)(*x).total)(*whole)


@pytest.mark.parametrize(
  ("questions", "width", "size", "sizes"),
  [
    (1024, 64, 2, (1024, 512)),
    (16_000, 768, 2, (1024, 512)),
    (16_000, 2048, 2, (512, 256)),
    (50, 4096, 4, (128, 128)),
  ],
)
def test_blocks_fit_into_vmem(questions, width, size, sizes):
  assert PallasTiles()._sizes(questions, width, size) == sizes


def test_no_array_is_as_large_as_the_scores():
  """Interpreted too: one tile of scores is the largest array besides inputs."""
  N, D, C = 64, 4, 4096
  split = Split(jax.sharding.AbstractMesh((), ()), (), ())

  def total(*x):
    return jnp.sum(catalogue_tiles.log_sums(KERNEL, split, *x))

  shapes = (1, N, D), (C, D), (C,)
  traced = jax.jit(jax.grad(total, argnums=(0, 1, 2))).trace(
    *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
  )
  largest = max(
    variable.aval.size
    for equation in all_equations(traced.jaxpr.jaxpr)
    for variable in equation.outvars
  )
  assert largest == C * D


def all_equations(jaxpr):
  for equation in jaxpr.eqns:
    yield equation
    for value in equation.params.values():
      for part in value if isinstance(value, tuple | list) else (value,):
        inner = getattr(part, "jaxpr", part)
        if hasattr(inner, "eqns"):
          yield from all_equations(inner)


def test_a_config_chooses_the_kernel():
  config = quickstart.get_config("tiny")
  config.objective.kernel = "pallas"
  checked = build.settings(config.to_dict())
  assert Softmax.from_settings(checked.objective).tiling.kernel == PallasTiles()
  config.objective.kernel = "xla"
  plain = build.settings(config.to_dict())
  assert Softmax.from_settings(plain.objective).tiling == Tiling()


def test_other_devices_are_told():
  config = quickstart.get_config("tiny")
  config.objective.kernel = "pallas"
  checked = build.settings(config.to_dict())
  with pytest.raises(UserError, match="config.objective.kernel: .*'cpu'"):
    build.check_devices(checked, jax.devices())


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("objective.items", "sampled_softmax"),
    ("sharding.backend", "pmap"),
    ("model.decoder", "sequence"),
  ],
)
def test_what_has_no_softmax_over_a_catalogue_is_refused(key, value):
  config = quickstart.get_config("tiny")
  config.objective.kernel = "pallas"
  config.objective.tags_weight = 0.0
  config.update_from_flattened_dict({key: value})
  with pytest.raises(UserError, match=f"config.{key}: found .*'pallas'"):
    build.settings(config.to_dict())
