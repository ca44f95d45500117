"""Blocks in a loop, and blocks of which less is kept, are the same blocks."""

from __future__ import annotations

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType

from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.placing import with_place
from tagrec_jax.models.encoder.blocks import StackedBlocks
from tagrec_jax.models.encoder.stack import TokenStack
from tagrec_jax.models.encoder.transformer import TransformerHistory
from tagrec_jax.sharding.rules import Places
from tests.models.encoder.made import axes_fit, model_settings, rngs

SEGMENTS = jnp.array([[1, 1, 1, 1, 2, 2, 0, 0]])
POSITIONS = jnp.array([[0, 1, 2, 3, 0, 1, 0, 0]])
ASKED = jnp.array([[3, 5]])
LAYERS = 3


def history(**changes):
  settings = model_settings(layers=LAYERS, **changes)
  return TransformerHistory(settings, 8, rngs())


def pure(module):
  return nnx.to_pure_dict(nnx.state(module, nnx.Param))


def stacked(params):
  """Parameters of a list of blocks → those of the same blocks in a stack."""
  *blocks, last = [params["blocks"][n] for n in range(LAYERS)]
  stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
  return {**params, "blocks": {"stack": stack, "last": last}}


def loss_and_gradient(module, params):
  """Of the answers, the noise that comes after them, and the gradient."""
  graph = nnx.graphdef(module)
  x = jax.random.normal(jax.random.key(1), (1, 8, 16))

  def loss(params):
    noise = Noise(jax.random.key(3))
    model = nnx.merge(graph, nnx.State(params))
    y = model(x, SEGMENTS, POSITIONS, noise, ASKED)
    return (y.astype(jnp.float32) ** 2).sum(), (
      y,
      noise.uniform((2,), 0.0, 1.0),
    )

  return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


@pytest.fixture(scope="module")
def wanted():
  """The parameters of a list of blocks, and what comes of them, in a stack."""
  module = history()
  params = pure(module)
  out, gradient = loss_and_gradient(module, params)
  return params, (out, stacked(gradient))


@pytest.mark.parametrize(
  ("scan", "remat"),
  [
    (True, "none"),
    (True, "block"),
    pytest.param(False, "block", marks=pytest.mark.nightly),
    pytest.param(True, "dots", marks=pytest.mark.nightly),
    pytest.param(False, "dots", marks=pytest.mark.nightly),
  ],
)
def test_the_same_answers_noise_and_gradients(wanted, scan, remat):
  params, expected = wanted
  module = history(scan_layers=scan, remat=remat)
  if scan:
    found = loss_and_gradient(module, stacked(params))
  else:
    out, gradient = loss_and_gradient(module, params)
    found = out, stacked(gradient)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    found,
    expected,
  )


def test_a_stack_names_its_axes_and_its_layers_differ():
  module = history(scan_layers=True)
  assert axes_fit(module)
  kernel = module.blocks.stack.mlp.up.kernel
  assert kernel.get_metadata()["axes"] == ("layers", "embed", "hidden")
  first, second = kernel[...]
  assert np.abs(first - second).max() > 0.1


def test_one_block_needs_no_loop():
  module = TransformerHistory(
    model_settings(layers=1, scan_layers=True), 8, rngs()
  )
  assert module.blocks.stack is None
  loss, _ = loss_and_gradient(module, pure(module))
  assert np.isfinite(loss[0])


def test_tokens_of_a_stack_that_is_scanned_are_read_alike():
  settings = model_settings(layers=LAYERS)
  one = TokenStack(settings, 8, rngs())
  two = TokenStack(dataclasses.replace(settings, scan_layers=True), 8, rngs())
  assert isinstance(two.blocks, StackedBlocks)
  nnx.update(two, nnx.State(stacked(pure(one))))
  x = jax.random.normal(jax.random.key(1), (1, 8, 16))
  found, expected = (
    nnx.jit(lambda m, x: m(x, SEGMENTS > 0, None).values_NSD)(module, x)
    for module in (two, one)
  )
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def lowered(place=None, **changes):
  """A training step's gradient, for rows long enough to matter."""
  settings = model_settings(dropout=0.0, width=32, hidden=128, **changes)
  module = nnx.eval_shape(lambda: TransformerHistory(settings, 64, rngs()))
  graph, state = nnx.split(module, nnx.Param)
  ints = jax.ShapeDtypeStruct((4, 64), jnp.int32)

  def loss(params, x, segments, positions):
    y = nnx.merge(graph, params)(x, segments, positions, None)
    return (y.astype(jnp.float32) ** 2).sum()

  if place is not None:
    loss = with_place(place, loss)
  x = jax.ShapeDtypeStruct((4, 64, 32), jnp.float32)
  return jax.jit(jax.grad(loss)).lower(state, x, ints, ints)


def test_programs_of_a_loop_do_not_grow_with_depth():
  sizes = [
    lowered(layers=layers, scan_layers=True).as_text().count("\n")
    for layers in (4, 8)
  ]
  assert sizes[0] == sizes[1]


@pytest.mark.nightly
def test_the_less_is_kept_the_less_memory_a_step_needs():
  """In a loop: elsewhere XLA's CPU backend joins what is computed twice."""
  none, dots, block = (
    lowered(layers=8, scan_layers=True, remat=remat)
    .compile()
    .memory_analysis()
    .temp_size_in_bytes
    for remat in ("none", "dots", "block")
  )
  assert block < 0.75 * dots, (none, dots, block)
  assert dots < 0.75 * none, (none, dots, block)


@pytest.mark.nightly
def test_devices_that_split_rows_bring_each_other_keys_and_values_alone():
  """Each has the scores of its own questions, 8 of 64 positions."""
  names = "data", "fsdp", "sequence", "tensor"
  mesh = jax.make_mesh((1, 1, 8, 1), names, axis_types=(AxisType.Auto,) * 4)
  split = lowered(Places("sequence", mesh), layers=1).compile()
  text = split.as_text()
  shapes = set(re.findall(r"f32\[([\d,]+)\]", text))
  assert "4,2,8,64" in shapes
  assert not {"4,2,64,64", "4,64,32", "4,64,128", "256,32", "256,128"} & shapes
  talk = set(re.findall(r" (all-\w+|reduce-scatter|collective-\w+)\(", text))
  assert talk <= {"all-gather", "all-reduce"}
  whole = lowered(layers=1).compile().memory_analysis().temp_size_in_bytes
  assert split.memory_analysis().temp_size_in_bytes < whole / 4
