"""Everything known of a product → the product vector."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import ID, Part, Spec
from tagrec_jax.layers import param
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.placing import by_rows, stored
from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder.fusion import SumFusion, TransformerFusion
from tagrec_jax.sharding.mesh import CATALOGUE_AXES, shared_axes

MakeEncoder = Callable[..., nnx.Module]
"""(feature, settings, rngs) → a module: (values [N, ...], noise) → `Tokens`.

It may say that it computes `number_by_number`: each number of a vector from the
same number of others. Devices that share these then need not exchange any.
"""

CHUNK = 512
"""Products encoded at a time where nothing is trained."""


class ProductEncoder(nnx.Module):
  """Encodes each feature the config names and joins what they say.

  With 'id' alone this is the usual table of item embeddings; without 'id' a
  product is known only by its content, so one never seen has a vector too.

  Args:
    encoders: feature → how it is encoded.
  """

  def __init__(
    self,
    settings: ModelSettings,
    spec: Spec,
    encoders: Mapping[str, MakeEncoder],
    rngs: nnx.Rngs,
  ):
    self.rate = settings.modality_dropout
    self.table = (
      param.long_table(spec.num_items, settings.width, param.PRODUCTS, rngs)
      if ID in settings.product
      else None
    )
    self.names = tuple(name for name in settings.product if name != ID)
    features = {f.name: f for f in spec.of(Part.PRODUCT)}
    self.content = nnx.List(
      [encoders[n](features[n], settings, rngs) for n in self.names]
    )
    self.fusion = (
      TransformerFusion(settings, len(settings.product), rngs)
      if settings.fusion == "transformer"
      else SumFusion()
    )

  @property
  def encoders(self) -> dict[str, nnx.Module]:
    """Feature → what encodes it."""
    return dict(zip(self.names, self.content, strict=True))

  def vectors(
    self,
    product: Mapping[str, Array],
    noise: Noise | None = None,
    *,
    of_batch: bool = False,
  ) -> Float[Array, "C D"]:
    """The vectors of products, in the order of the arrays.

    While training, devices that share tables keep the vectors as they keep a
    table of products. What takes more than one number of a vector at a time is
    computed by each for some of the products.

    Args:
      product: feature name → array [C, ...], as in `Dataset.product`. The rows
        of the table come first; products after them have no part of their own.
      noise: while training; None encodes a catalogue part after part.
      of_batch: whether these are the products of a batch, and each device wants
        the vectors of its own rows.
    """
    inputs: dict[str, Any] = {name: product[name] for name in self.names}
    if self.table is not None:
      rows_CD = self.table[...]
      size = len(inputs[self.names[0]]) if self.names else len(rows_CD)
      new = ((0, size - len(rows_CD)), (0, 0))
      inputs[ID] = jnp.pad(rows_CD, new), jnp.arange(size) < len(rows_CD)
    if noise is not None or not self.names:
      vectors_CD = self._encode(inputs, noise, of_batch)
      return vectors_CD if of_batch else stored(vectors_CD, param.PRODUCTS)
    spread = _Spread.of(self, len(jax.tree.leaves(inputs)[0]))
    for module in (*self.content, self.fusion):
      spread.gather(module)
    return _in_parts(lambda part: self._encode(part, None), inputs, spread)

  def memory(
    self, product: Mapping[str, Array], noise: Noise | None = None
  ) -> tuple[Float[Array, "B D"], Tokens]:
    """The vectors of some products, and the tokens of all their features.

    Args:
      product: feature → array [B, ...]; without 'id'.
    """
    inputs = {n: product[n] for n in self.names}
    features = _by_rows(self._features(inputs, noise))
    tokens = Tokens(
      jnp.concatenate([f.values_NSD for f in features], axis=1),
      jnp.concatenate([f.there_NS for f in features], axis=1),
    )
    return self.fusion(features, noise), tokens

  def _encode(
    self, inputs: Mapping[str, Any], noise: Noise | None, of_batch: bool = False
  ) -> Float[Array, "C D"]:
    features = self._features(inputs, noise)
    if of_batch or not isinstance(self.fusion, SumFusion):
      features = _by_rows(features)
    return self.fusion(features, noise)

  def _features(
    self, inputs: Mapping[str, Any], noise: Noise | None
  ) -> list[Tokens]:
    features = []
    if ID in inputs:
      rows_CD, there_C = inputs[ID]
      features.append(Tokens(rows_CD[:, None], there_C[:, None]))
    for name, encoder in zip(self.names, self.content, strict=True):
      values = inputs[name]
      if not getattr(encoder, "number_by_number", False):
        values = by_rows(values)
      features.append(encoder(values, noise))
    if noise is not None and self.rate:
      features = [_missing_at_times(f, self.rate, noise) for f in features]
    return features


def _by_rows(features: list[Tokens]) -> list[Tokens]:
  return [
    Tokens(by_rows(feature.values_NSD), by_rows(feature.there_NS))
    for feature in features
  ]


def _missing_at_times(feature: Tokens, rate: float, noise: Noise) -> Tokens:
  """The feature, of some products not there at all."""
  keep_N1 = noise.keep((feature.there_NS.shape[0], 1), rate)
  return Tokens(
    jnp.where(keep_N1[..., None], feature.values_NSD, 0.0),
    feature.there_NS & keep_N1,
  )


@dataclasses.dataclass(frozen=True)
class _Spread:
  """How devices share the products of a catalogue.

  Attributes:
    mesh: where the arrays lie.
    axes: of the mesh, along which products are cut; () where they are not.
    share: products of each device.
  """

  mesh: Any
  axes: tuple[str, ...]
  share: int

  @classmethod
  def of(cls, module: nnx.Module, size: int) -> _Spread:
    mesh = jax.typeof(jax.tree.leaves(nnx.state(module))[0]).sharding.mesh
    known = shared_axes(mesh)
    axes = tuple(name for name in CATALOGUE_AXES if known.get(name, 1) > 1)
    parts = math.prod(known[name] for name in axes)
    if size % parts:
      return cls(mesh, (), size)
    return cls(mesh, axes, size // parts)

  def put(self, x: Array, dimension: int) -> Array:
    """The array, one of its dimensions cut along the axes."""
    if not self.axes:
      return x
    spec: list[Any] = [PartitionSpec.UNCONSTRAINED] * x.ndim
    spec[dimension] = self.axes
    where = NamedSharding(self.mesh, PartitionSpec(*spec))
    return jax.lax.with_sharding_constraint(x, where)

  def gather(self, module: nnx.Module) -> None:
    """Makes each device hold the whole module, unless that is too much.

    It is read for every part of the products: devices talk once, not each time.
    Too much is a table with more rows than a device has products.
    """
    leaves = jax.tree.leaves(nnx.state(module, nnx.Param))
    if not self.axes or any(len(x) > self.share for x in leaves if x.ndim):
      return
    whole = NamedSharding(self.mesh, PartitionSpec())
    for _, variable in nnx.iter_graph(module):
      if isinstance(variable, nnx.Param):
        x = jax.lax.with_sharding_constraint(variable[...], whole)
        variable[...] = x


def _in_parts(
  encode: Callable[[Any], Array], inputs: Any, spread: _Spread
) -> Float[Array, "C D"]:
  """Encodes CHUNK products at a time: their tokens need much more memory.

  Devices that share the catalogue each encode their own share, CHUNK products
  at a time. A part of neighbours would be one device's, to be sent to all.
  """
  size, share = len(jax.tree.leaves(inputs)[0]), spread.share
  devices, parts = size // share, -(-share // CHUNK)
  if parts == 1:
    return encode(inputs)

  def split(x: Array) -> Array:
    x = spread.put(x.reshape(devices, share, *x.shape[1:]), 0)
    fill = [(0, 0), (0, parts * CHUNK - share)] + [(0, 0)] * (x.ndim - 2)
    x = jnp.pad(x, fill).reshape(devices, parts, CHUNK, *x.shape[2:])
    return spread.put(jnp.moveaxis(x, 1, 0), 1)

  def one(part: Any) -> Array:
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), part)
    return spread.put(encode(flat).reshape(devices, CHUNK, -1), 0)

  vectors = spread.put(jax.lax.map(one, jax.tree.map(split, inputs)), 1)
  vectors = jnp.moveaxis(vectors, 0, 1).reshape(devices, parts * CHUNK, -1)
  return spread.put(vectors[:, :share].reshape(size, -1), 0)
