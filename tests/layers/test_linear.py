"""Layers in a narrow type: what is sent, and what is added up."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType

from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.param import layer_norm
from tagrec_jax.layers.placing import with_place
from tagrec_jax.sharding.rules import Places

AXES = ("embed", "hidden")


@pytest.fixture(scope="module")
def narrow():
  """A map of bfloat16, its parameters, and x."""
  make = {"rngs": nnx.Rngs(params=jax.random.key(0)), "dtype": jnp.bfloat16}
  graph, params = nnx.split(Linear(8, 16, AXES, **make))
  return graph, params, jax.random.normal(jax.random.key(1), (64, 8))


def square(graph, params, x):
  return (nnx.merge(graph, params)(x).astype(jnp.float32) ** 2).sum()


def test_the_gradient_of_a_narrow_map_is_added_up_in_float32(narrow):
  """A sum of 64 products in bfloat16 would be right to 3 digits only."""
  graph, params, x = narrow
  y_NE = nnx.merge(graph, params)(x)
  assert y_NE.dtype == jnp.bfloat16
  gradient = jax.grad(square, argnums=1)(graph, params, x)
  assert gradient.kernel[...].dtype == jnp.float32
  x_ND = np.asarray(x.astype(jnp.bfloat16), np.float64)
  wanted = x_ND.T @ np.asarray(2 * y_NE, np.float64)
  np.testing.assert_allclose(gradient.kernel[...], wanted, rtol=1e-5, atol=1e-4)


def test_the_gradient_of_x_is_that_of_a_plain_product(narrow):
  graph, params, x = narrow
  kernel, bias = params.kernel[...], params.bias[...]

  def plain(x):
    y_NE = x.astype(jnp.bfloat16) @ kernel.astype(jnp.bfloat16)
    y_NE = (y_NE.astype(jnp.float32) + bias[None]).astype(jnp.bfloat16)
    return (y_NE.astype(jnp.float32) ** 2).sum()

  np.testing.assert_array_equal(
    jax.grad(square, argnums=2)(graph, params, x), jax.grad(plain)(x)
  )


def test_weights_are_narrowed_before_devices_send_them(narrow):
  """And gradients are added up over devices before they are anything else.

  As the program is before a backend rewrites it: that of CPUs has no
  collectives in bfloat16 and widens them.
  """
  graph, params, x = narrow
  names = "data", "fsdp", "tensor"
  mesh = jax.make_mesh((1, 8, 1), names, axis_types=(AxisType.Auto,) * 3)
  loss = with_place(Places("fsdp", mesh), lambda p, x: square(graph, p, x))
  text = jax.jit(jax.grad(loss)).lower(params, x).as_text()
  placed = re.findall(
    r"(%\d+) = sdy.sharding_constraint (%\d+) <@mesh, (.*)> : (\S+)", text
  )
  kinds = {(where, kind): source for _, source, where, kind in placed}
  whole, split = "[{}, {}]", '[{"fsdp"}, {}]'
  assert (whole, "tensor<8x16xf32>") not in kinds
  assert (whole, "tensor<8x16xbf16>") in kinds
  made = kinds[split, "tensor<8x16xf32>"]
  (line,) = re.findall(rf"{made} = (stablehlo\S+) .*-> (\S+)", text)
  assert line == ("stablehlo.dot_general", "tensor<8x16xf32>")


def test_norms_of_a_narrow_type_are_computed_in_float32():
  norm = layer_norm(8, nnx.Rngs(params=jax.random.key(0)), dtype=jnp.bfloat16)
  x = jax.random.normal(jax.random.key(1), (512, 8)).astype(jnp.bfloat16)
  graph, params = nnx.split(norm)
  y = norm(x)
  assert y.dtype == jnp.bfloat16
  gradient = jax.grad(square, argnums=1)(graph, params, x)
  # Of 512 numbers a sum in bfloat16 would be right to 2 digits.
  wanted = 2 * np.asarray(y, np.float64).sum(0)
  np.testing.assert_allclose(gradient.bias[...], wanted, rtol=1e-2, atol=1e-4)
