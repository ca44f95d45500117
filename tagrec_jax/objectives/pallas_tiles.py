"""The work of `catalogue_tiles` as kernels for TPUs, scores never leaving VMEM.

A block of questions stays in VMEM while the catalogue streams by, tile after
tile. Tiles of scores stand as [C, N]: what is known of a question is then a
row, and both reductions over the catalogue are sums of rows.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LOWEST = float(jnp.finfo(jnp.float32).min)
"""A score whose exp is 0 beside any other; infinities would give NaN."""

LANES = 128
"""Numbers in a row of a TPU's registers."""


@dataclasses.dataclass(frozen=True)
class PallasTiles:
  """See `catalogue_tiles.Tiles`; for one device.

  Attributes:
    questions, entries: of a block and of a tile, at most.
    vmem_bytes: what the blocks of a kernel may take, about; half as much again
      is left for what the compiler needs.
    interpret: run on any device, for tests: slow.
  """

  questions: int = 1024
  entries: int = 512
  vmem_bytes: int = 32 * 2**20
  interpret: bool | pltpu.InterpretParams = False

  def sums(
    self, queries_ND: jax.Array, vectors_CD: jax.Array, bias_C: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """(largest score, Σ exp(score - largest)) of each question."""
    N, D = queries_ND.shape
    C = vectors_CD.shape[0]
    n, c = self._sizes(N, D, queries_ND.dtype.itemsize)
    padded_ND = _filled(queries_ND, n)
    found_1N = jax.ShapeDtypeStruct((1, len(padded_ND)), jnp.float32)
    top_1N, sum_1N = pl.pallas_call(
      functools.partial(_add_sums, C),
      grid=(len(padded_ND) // n, pl.cdiv(C, c)),
      in_specs=[
        pl.BlockSpec((n, D), lambda i, _: (i, 0)),
        pl.BlockSpec((c, D), lambda _, j: (j, 0)),
        pl.BlockSpec((1, c), lambda _, j: (0, j)),
      ],
      out_specs=[pl.BlockSpec((1, n), lambda i, _: (0, i))] * 2,
      out_shape=[found_1N, found_1N],
      cost_estimate=_cost(1, len(padded_ND), n, vectors_CD),
      **self._options("parallel", "arbitrary"),
    )(padded_ND, vectors_CD, bias_C[None])
    return top_1N[0, :N], sum_1N[0, :N]

  def gradients(
    self,
    queries_ND: jax.Array,
    slope_N: jax.Array,
    log_sum_N: jax.Array,
    vectors_CD: jax.Array,
    bias_C: jax.Array,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of Σ slope · log sum: [N, D], not times slope yet; [C, D] and [C]."""
    (N, D), dtype = queries_ND.shape, queries_ND.dtype
    n, _ = self._sizes(N, D, dtype.itemsize)
    scaled_ND = (queries_ND * slope_N[:, None]).astype(dtype)
    # Questions that are none: exp(score - much) is 0.
    much = -LOWEST
    blocks = (
      _filled(queries_ND, n).reshape(-1, n, D),
      _filled(scaled_ND, n).reshape(-1, n, D),
      _filled(slope_N, n).astype(dtype).reshape(-1, 1, n),
      _filled(log_sum_N, n, much).reshape(-1, 1, n),
    )
    scored = vectors_CD, bias_C[None]
    first, rest = ([x[place] for x in blocks] for place in (0, slice(1, None)))
    grads_ND, *tables = self._block_gradients(*first, *scored)
    grads_LND = grads_ND[None]
    if len(rest[0]):

      def block(tables, block):
        grads_ND, *tables = self._block_gradients(*block, *scored, *tables)
        return tables, grads_ND

      tables, rest_LND = lax.scan(block, tables, rest)
      grads_LND = jnp.concatenate([grads_LND, rest_LND])
    return grads_LND.reshape(-1, D)[:N], tables[0], tables[1][0]

  def _block_gradients(
    self, queries_ND: jax.Array, *inputs: jax.Array
  ) -> tuple[jax.Array, ...]:
    """Of one block of questions; tables of earlier blocks are added to.

    Args:
      inputs: scaled_ND, slope_1N, log_sum_1N, vectors_CD, bias_1C and perhaps
        the tables [C, D] and [1, C], which are used up.
    """
    n, D = queries_ND.shape
    vectors_CD, tables = inputs[3], inputs[5:]
    C = vectors_CD.shape[0]
    _, c = self._sizes(n, D, queries_ND.dtype.itemsize)
    block, row = (
      pl.BlockSpec(shape, lambda _: (0, 0)) for shape in ((n, D), (1, n))
    )
    tile = pl.BlockSpec((c, D), lambda j: (j, 0))
    tile_row = pl.BlockSpec((1, c), lambda j: (0, j))
    of_tables = [tile, tile_row] if tables else []
    found = pl.pallas_call(
      functools.partial(_add_gradients, C),
      grid=(pl.cdiv(C, c),),
      in_specs=[block, block, row, row, tile, tile_row, *of_tables],
      out_specs=[block, tile, tile_row],
      out_shape=[
        jax.ShapeDtypeStruct(shape, jnp.float32)
        for shape in ((n, D), (C, D), (1, C))
      ],
      input_output_aliases={6: 1, 7: 2} if tables else {},
      cost_estimate=_cost(3, n, n, vectors_CD, 3 if tables else 2),
      **self._options("arbitrary"),
    )(queries_ND, *inputs)
    return tuple(found)

  def _sizes(self, N: int, D: int, size: int) -> tuple[int, int]:
    """Questions of a block and entries of a tile for which VMEM is enough.

    Args:
      size: bytes of a number of the questions.
    """
    width = D + -D % LANES
    n = min(self.questions, N + -N % LANES)
    c = self.entries

    def bytes_of(n: int, c: int) -> int:
      # Inputs and results have two buffers each; scores stand a few times.
      of_block, of_tile = 4 * size + 8, 4 * 6
      return width * (n * of_block + c * of_tile) + 16 * n * c

    # The catalogue is read once for each block of questions: those stay many.
    while bytes_of(n, c) > self.vmem_bytes and max(n, c) > LANES:
      fewer = c > 2 * LANES or (c > LANES and n <= 2 * LANES)
      n, c = (n, c // 2) if fewer else (n // 2, c)
    return n, c

  def _options(self, *semantics: Any) -> dict[str, Any]:
    """What both kernels tell the compiler."""
    params = pltpu.CompilerParams(
      dimension_semantics=semantics,
      vmem_limit_bytes=self.vmem_bytes + self.vmem_bytes // 2,
    )
    return {"compiler_params": params, "interpret": self.interpret}


def _add_sums(C: int, *refs: Any) -> None:
  """Takes one more tile of the catalogue into the sums of a block."""
  queries_ND, vectors_CD, bias_1C, top_1N, sum_1N = refs
  tile = pl.program_id(1)

  @pl.when(tile == 0)
  def _():
    top_1N[...] = jnp.full(top_1N.shape, LOWEST, jnp.float32)
    sum_1N[...] = jnp.zeros(sum_1N.shape, jnp.float32)

  rows_CD, bias_C1 = _tile(tile, C, vectors_CD, bias_1C, queries_ND.dtype)
  scores_CN = _dot(rows_CD, queries_ND[...], (1, 1)) + bias_C1
  old_1N = top_1N[...]
  new_1N = jnp.maximum(old_1N, jnp.max(scores_CN, axis=0, keepdims=True))
  share_1N = jnp.sum(jnp.exp(scores_CN - new_1N), axis=0, keepdims=True)
  sum_1N[...] = sum_1N[...] * jnp.exp(old_1N - new_1N) + share_1N
  top_1N[...] = new_1N


def _add_gradients(C: int, *refs: Any) -> None:
  """Takes one more tile of the catalogue into the gradients of a block."""
  queries_ND, scaled_ND, slope_1N, log_sum_1N, vectors_CD, bias_1C = refs[:6]
  before, (grads_ND, table_CD, table_1C) = refs[6:-3], refs[-3:]
  tile = pl.program_id(0)

  @pl.when(tile == 0)
  def _():
    grads_ND[...] = jnp.zeros(grads_ND.shape, jnp.float32)

  dtype = queries_ND.dtype
  rows_CD, bias_C1 = _tile(tile, C, vectors_CD, bias_1C, dtype)
  scores_CN = _dot(rows_CD, queries_ND[...], (1, 1)) + bias_C1
  p_CN = jnp.exp(scores_CN - log_sum_1N[...]).astype(dtype)
  grads_ND[...] += _dot(p_CN, rows_CD, (0, 0))
  share_CD = _dot(p_CN, scaled_ND[...], (1, 0))
  share_1C = _dot(slope_1N[...], p_CN, (1, 1))
  table_CD[...] = share_CD + before[0][...] if before else share_CD
  table_1C[...] = share_1C + before[1][...] if before else share_1C


def _tile(
  tile: jax.Array, C: int, vectors_CD: Any, bias_1C: Any, dtype: Any
) -> tuple[jax.Array, jax.Array]:
  """The rows of a tile and their bias as a column.

  The last tile may reach past the catalogue, where memory holds anything.
  """
  c = vectors_CD.shape[0]
  ids_C1 = tile * c + lax.broadcasted_iota(jnp.int32, (c, 1), 0)
  rows_CD = jnp.where(ids_C1 < C, vectors_CD[...], 0.0).astype(dtype)
  return rows_CD, jnp.where(ids_C1 < C, bias_1C[...].reshape(c, 1), LOWEST)


def _dot(a: jax.Array, b: jax.Array, axes: tuple[int, int]) -> jax.Array:
  """Σ along an axis of each, added up in float32."""
  numbers = (((axes[0],), (axes[1],)), ((), ()))
  return lax.dot_general(a, b, numbers, preferred_element_type=jnp.float32)


def _filled(x_N: jax.Array, n: int, value: float = 0.0) -> jax.Array:
  """Filled up to whole blocks of n."""
  padding = [(0, -len(x_N) % n)] + [(0, 0)] * (x_N.ndim - 1)
  return jnp.pad(x_N, padding, constant_values=value)


def _cost(
  products: int, N: int, n: int, vectors_CD: jax.Array, tables: int = 1
) -> pl.CostEstimate:
  """Of a kernel, which the compiler cannot look into.

  Args:
    products: matrix products of all scores.
    N, n: questions in all, and in a block.
    tables: arrays as large as the vectors that pass by for each block.
  """
  C, D = vectors_CD.shape
  width = D + -D % LANES
  return pl.CostEstimate(
    flops=2 * products * N * C * D,
    transcendentals=N * C,
    bytes_accessed=4 * (N // n) * tables * C * (width + 1) + 8 * N * width,
  )
