"""Each layer against what it promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tagrec_jax.layers import param
from tagrec_jax.layers.attention import packed_causal_mask
from tagrec_jax.layers.embed import Bag, Bins, Classes, Numbers, lookup
from tagrec_jax.layers.mlp import MLP
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.rotary import rotate


@pytest.fixture
def rngs():
  return nnx.Rngs(params=jax.random.key(0))


def test_lookup_never_reads_the_table_at_a_negative_id():
  table = jnp.arange(6.0).reshape(3, 2) + 1
  rows = lookup(table, jnp.array([0, -1, 2, -2]))
  np.testing.assert_array_equal(rows, [[1, 2], [0, 0], [5, 6], [0, 0]])
  gradient = jax.grad(lambda t: lookup(t, jnp.array([-1, 1])).sum())(table)
  np.testing.assert_array_equal(gradient, [[0, 0], [1, 1], [0, 0]])


def test_bag_is_the_sum_of_its_members_by_the_root_of_their_number(rngs):
  bag = Bag(4, 3, rngs)
  table = bag.table[...]
  vectors = bag(jnp.array([[1, 3, -1], [-1, -1, -1], [2, -1, -1]]))
  pair = (table[1] + table[3]) / np.sqrt(2)
  np.testing.assert_allclose(vectors[0], pair, rtol=1e-6)
  np.testing.assert_array_equal(vectors[1], 0)
  np.testing.assert_allclose(vectors[2], table[2], rtol=1e-6)


def test_missing_classes_and_numbers_add_nothing(rngs):
  np.testing.assert_array_equal(Classes(3, 4, rngs)(jnp.array([-1])), 0)
  numbers = Numbers(2, 4, rngs)
  missing = numbers(jnp.array([[jnp.nan, jnp.nan]]))
  np.testing.assert_array_equal(missing, 0)
  # A zero that is there is not a number that is missing.
  assert np.abs(numbers(jnp.array([[0.0, jnp.nan]]))).max() > 0


def test_a_curve_stands_at_its_knots_and_is_straight_between_them(rngs):
  """17 knots from -3 to 3, so .375 apart; knot 8 stands at 0."""
  curve = Bins(2, 3, rngs)
  first, second = np.split(np.asarray(curve.table[...]), 2)
  # The first number by hand, while the second is missing.
  by_hand = {
    0.0: first[8],
    0.375: first[9],
    0.1875: (first[8] + first[9]) / 2,
    -0.09375: 0.25 * first[7] + 0.75 * first[8],
    3.0: first[16],
    5.0: first[16],
    -4.0: first[0],
    np.nan: first[17],
  }
  found = curve(jnp.array([[value, jnp.nan] for value in by_hand]))
  wanted = np.stack(list(by_hand.values())) + second[17]
  np.testing.assert_allclose(found, wanted, atol=1e-7)


def test_curves_of_several_numbers_add_up(rngs):
  curves = Bins(3, 5, rngs)
  tables = np.asarray(curves.table[...]).reshape(3, 18, 5)
  values = np.random.default_rng(0).normal(0, 2, (40, 3)).astype(np.float32)
  knots = np.linspace(-3, 3, 17)
  slow = np.zeros((40, 5))
  for table, column in zip(tables, values.T, strict=True):
    for side in range(5):
      slow[:, side] += np.interp(column, knots, table[:17, side])
  np.testing.assert_allclose(curves(jnp.asarray(values)), slow, atol=1e-6)


def test_a_curve_passes_no_gradient_to_rows_that_a_number_does_not_read(rngs):
  graph, state = nnx.split(Bins(1, 2, rngs))

  def total(state, values):
    return nnx.merge(graph, state)(values).sum()

  gradient = lambda x: np.asarray(
    jax.grad(total)(state, jnp.array([[x]]))["table"][...][:, 0]
  )
  np.testing.assert_allclose(gradient(0.1875), np.eye(18)[8:10].sum(0) / 2)
  np.testing.assert_array_equal(gradient(jnp.nan), np.eye(18)[17])


@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_mlp_keeps_the_width(rngs, activation):
  mlp = MLP(8, 12, activation, rngs, dtype=jnp.float32)
  x = jax.random.normal(jax.random.key(1), (2, 3, 8))
  assert mlp(x).shape == x.shape
  assert np.isfinite(mlp(x)).all()


def test_mask_is_causal_and_keeps_people_apart():
  mask = packed_causal_mask(jnp.array([[1, 1, 2, 2, 0]]))[0]
  np.testing.assert_array_equal(
    mask,
    [
      [1, 0, 0, 0, 0],
      [1, 1, 0, 0, 0],
      [0, 0, 1, 0, 0],
      [0, 0, 1, 1, 0],
      [0, 0, 0, 0, 1],
    ],
  )


def test_rotation_keeps_lengths_and_sees_only_distances():
  x = jax.random.normal(jax.random.key(0), (1, 5, 2, 8))
  positions = jnp.arange(5)[None]
  turned = rotate(x, positions)
  np.testing.assert_allclose(
    jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(x, axis=-1), rtol=1e-5
  )
  shifted = rotate(x, positions + 17)
  product = jnp.einsum("BTNH,BSNH->BNTS", turned, turned)
  same = jnp.einsum("BTNH,BSNH->BNTS", shifted, shifted)
  np.testing.assert_allclose(product, same, atol=1e-4)
  assert np.abs(turned[0, 1] - x[0, 1]).max() > 0.1


def test_rotation_needs_an_even_head():
  with pytest.raises(ValueError, match="even head size, found 3"):
    rotate(jnp.ones((1, 2, 1, 3)), jnp.array([[0, 1]]))


def test_dropout_keeps_the_mean_and_its_rate():
  x = jnp.ones((64, 1024))
  dropped = dropout(x, 0.3, Noise(jax.random.key(0)))
  assert abs(float((dropped == 0).mean()) - 0.3) < 0.01
  assert abs(float(dropped.mean()) - 1) < 0.02
  # Neither rows nor columns are favoured.
  assert np.std((dropped == 0).mean(0)) < 0.08
  assert np.std((dropped == 0).mean(1)) < 0.03


def test_dropout_sites_and_keys_draw_different_bits():
  x = jnp.ones((32, 32))
  noise = Noise(jax.random.key(0))
  first, second = dropout(x, 0.5, noise), dropout(x, 0.5, noise)
  other = dropout(x, 0.5, Noise(jax.random.key(1)))
  for pair in ((first, second), (first, other)):
    agreement = float((pair[0] == pair[1]).mean())
    assert 0.4 < agreement < 0.6
  again = dropout(x, 0.5, Noise(jax.random.key(0)))
  np.testing.assert_array_equal(first, again)


def test_dropout_is_the_same_however_rows_are_shared():
  x = jnp.ones((8, 16))
  key = jax.random.key(3)
  whole = dropout(x, 0.5, Noise(key))
  parts = [dropout(x[2 * i : 2 * i + 2], 0.5, Noise(key, i)) for i in range(4)]
  np.testing.assert_array_equal(whole, jnp.concatenate(parts))


def test_no_noise_changes_nothing():
  x = jnp.ones((2, 2))
  assert dropout(x, 0.9, None) is x


def test_every_parameter_names_its_axes(rngs):
  _, state = nnx.split(MLP(4, 6, "relu", rngs, dtype=jnp.float32), nnx.Param)
  assert param.logical_axes(state) == {
    "up": {"kernel": ("embed", "hidden"), "bias": ("hidden",)},
    "down": {"kernel": ("hidden", "embed"), "bias": ("embed",)},
  }
