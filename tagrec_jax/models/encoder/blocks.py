"""Transformer blocks, one after another or as turns of a loop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.attention import SelfAttention
from tagrec_jax.layers.mlp import MLP
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.positions import pick


class Block(nnx.Module):
  """Pre-norm: x + attention(norm(x)), then x + mlp(norm(x)).

  Args:
    of_rows: see `SelfAttention`.

  Attributes:
    sites: of noise that a call uses.
  """

  def __init__(
    self, settings: ModelSettings, rngs: nnx.Rngs, *, of_rows: bool = False
  ):
    width, dtype = settings.width, jnp.dtype(settings.compute_dtype)
    self.rate = settings.dropout
    self.sites = 2 if self.rate else 0
    self.attention_norm = param.layer_norm(width, rngs, dtype=dtype)
    self.attention = SelfAttention(
      width,
      settings.heads,
      rngs,
      rotary=settings.positions == "rotary",
      dtype=dtype,
      of_rows=of_rows,
    )
    self.mlp_norm = param.layer_norm(width, rngs, dtype=dtype)
    self.mlp = MLP(
      width, settings.hidden, settings.activation, rngs, dtype=dtype
    )

  def __call__(
    self,
    x_BSD: Float[Array, "B S D"],
    mask_BTS: Bool[Array, "B S S"],
    positions_BS: Int[Array, "B S"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
    bias_BNTS: Float[Array, "B N S S"] | None = None,
  ) -> Float[Array, "B T D"]:
    update = self.attention(
      self.attention_norm(x_BSD), mask_BTS, positions_BS, asked_BT, bias_BNTS
    )
    x_BTD = pick(x_BSD, asked_BT) + dropout(update, self.rate, noise)
    update = self.mlp(self.mlp_norm(x_BTD))
    return x_BTD + dropout(update, self.rate, noise)


Make = Callable[[nnx.Rngs], Block]


class Blocks(nnx.List[Block]):
  """Blocks one after another; the last one may answer for some positions.

  Args:
    make: rngs → a block.
    count: how many.
    remat: see configs/base.py.
  """

  def __init__(self, make: Make, count: int, remat: str, rngs: nnx.Rngs):
    super().__init__([make(rngs) for _ in range(count)])
    self.remat = remat

  def __call__(
    self,
    x_BSD: Float[Array, "B S D"],
    mask_BTS: Bool[Array, "B S S"],
    positions_BS: Int[Array, "B S"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
    bias_BNTS: Float[Array, "B N S S"] | None = None,
  ) -> Float[Array, "B T D"]:
    *blocks, last = self
    for block in blocks:
      run = _run(block, self.remat)
      x_BSD = run(x_BSD, mask_BTS, positions_BS, noise, None, bias_BNTS)
    run = _run(last, self.remat)
    return run(x_BSD, mask_BTS, positions_BS, noise, asked_BT, bias_BNTS)


class StackedBlocks(nnx.Module):
  """The same blocks as turns of a loop: a program as long as one of them.

  Their parameters are stacked, with a first axis 'layers'. The last block
  stands apart, as it may answer for some positions only.

  Args:
    make, count, remat: as for `Blocks`.
  """

  def __init__(self, make: Make, count: int, remat: str, rngs: nnx.Rngs):
    self.remat = remat
    self.turns = count - 1
    self.stack = _stacked(make, self.turns, rngs) if self.turns else None
    self.last = make(rngs)

  def __call__(
    self,
    x_BSD: Float[Array, "B S D"],
    mask_BTS: Bool[Array, "B S S"],
    positions_BS: Int[Array, "B S"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
    bias_BNTS: Float[Array, "B N S S"] | None = None,
  ) -> Float[Array, "B T D"]:
    if self.stack is not None:
      graph, params_L = nnx.split(self.stack)
      sites = self.stack.sites

      def turn(x_BSD: Array, layer: Any) -> tuple[Array, None]:
        number, params = layer
        own = noise.turn(number, sites) if noise else None
        run = _run(nnx.merge(graph, params), self.remat, in_loop=True)
        return run(x_BSD, mask_BTS, positions_BS, own, None, bias_BNTS), None

      layers = jnp.arange(self.turns, dtype=jnp.uint32), params_L
      x_BSD, _ = jax.lax.scan(turn, x_BSD, layers)
      if noise:
        noise.skip(self.turns * sites)
    run = _run(self.last, self.remat)
    return run(x_BSD, mask_BTS, positions_BS, noise, asked_BT, bias_BNTS)


def make_blocks(
  settings: ModelSettings,
  count: int,
  rngs: nnx.Rngs,
  *,
  of_rows: bool = False,
) -> Blocks | StackedBlocks:
  """As many blocks as that, in a loop if the settings want it.

  Args:
    of_rows: see `SelfAttention`.
  """

  def make(rngs: nnx.Rngs) -> Block:
    return Block(settings, rngs, of_rows=of_rows)

  kind = StackedBlocks if settings.scan_layers else Blocks
  return kind(make, count, settings.remat, rngs)


def _stacked(make: Make, count: int, rngs: nnx.Rngs) -> Block:
  """A block whose parameters are those of several, axis 'layers' first."""
  keys_L = jax.random.split(rngs.params(), count)

  def one(key: Array) -> Block:
    return make(nnx.Rngs(params=key))

  graph = nnx.graphdef(nnx.eval_shape(one, keys_L[0]))
  params_L = jax.vmap(lambda key: nnx.state(one(key)))(keys_L)
  block = nnx.merge(graph, params_L)
  for variable in jax.tree.leaves(
    nnx.state(block), is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)
  ):
    variable.set_metadata("axes", ("layers", *variable.get_metadata()["axes"]))
  return block


def _run(
  block: Block, remat: str, *, in_loop: bool = False
) -> Callable[..., Array]:
  """The block's call, with what is kept of it for its derivative.

  'none' keeps all but, in a loop, weights put in place: else all blocks'
  weights would be whole on every device after the last turn.
  """
  if remat == "none" and not in_loop:
    return block
  graph, params = nnx.split(block)
  keep = _POLICIES[remat]

  def run(x_BSD, mask_BTS, positions_BS, noise, asked_BT, bias_BNTS):
    @functools.partial(jax.checkpoint, policy=keep, prevent_cse=not in_loop)
    def call(params: nnx.State, x_BSD: Array, bias_BNTS: Array | None) -> Array:
      return nnx.merge(graph, params)(
        x_BSD, mask_BTS, positions_BS, noise, asked_BT, bias_BNTS
      )

    return call(params, x_BSD, bias_BNTS)

  return run


def _all_but_weights(primitive: Any, *_: Any, **__: Any) -> bool:
  """Keeps what costs arithmetic; weights are sent and narrowed once more."""
  return primitive.name not in ("sharding_constraint", "convert_element_type")


_POLICIES = {
  "none": _all_but_weights,
  "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
  "block": jax.checkpoint_policies.nothing_saveable,
}
