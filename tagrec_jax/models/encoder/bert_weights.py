"""Weights of pretrained encoders of the BERT family → `Bert`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest
from tagrec_jax.models.encoder.bert import Bert, BertConfig

ACTIVATIONS = {
  "gelu": "gelu_erf",
  "gelu_new": "gelu",
  "gelu_pytorch_tanh": "gelu",
  "relu": "relu",
}


@dataclasses.dataclass(frozen=True)
class _Layer:
  """Names of one block's parts."""

  start: str
  qkv: tuple[str, str, str]
  out: str
  attention_norm: str
  up: str
  down: str
  mlp_norm: str


_BERT = _Layer(
  start="encoder.layer.{}.",
  qkv=(
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
  ),
  out="attention.output.dense",
  attention_norm="attention.output.LayerNorm",
  up="intermediate.dense",
  down="output.dense",
  mlp_norm="output.LayerNorm",
)
_DISTILBERT = _Layer(
  start="transformer.layer.{}.",
  qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
  out="attention.out_lin",
  attention_norm="sa_layer_norm",
  up="ffn.lin1",
  down="ffn.lin2",
  mlp_norm="output_layer_norm",
)
_LAYERS = {"bert": _BERT, "roberta": _BERT, "distilbert": _DISTILBERT}

# What models saved with a head hold besides the encoder, and constants.
_UNUSED = re.compile(
  r"(pooler|cls|lm_head|vocab_\w+|classifier|qa_outputs)\.|"
  r"embeddings\.(position|token_type)_ids$"
)


def read_config(config: Mapping[str, Any], where: str) -> BertConfig:
  """The sizes of a config.json.

  Raises:
    UserError: the model is of another family, or a key is missing.
  """
  family = str(config.get("model_type"))
  if family not in _LAYERS:
    raise UserError(
      f"{where} [model_type]",
      f"found '{family}'",
      f"one of {', '.join(_LAYERS)}",
      nearest(family, list(_LAYERS)),
    )
  distil = family == "distilbert"

  def get(name: str, in_distilbert: str = "") -> Any:
    key = in_distilbert if distil and in_distilbert else name
    if key not in config:
      raise UserError(f"{where} [{key}]", "missing", "a value")
    return config[key]

  activation = str(get("hidden_act", "activation"))
  if activation not in ACTIVATIONS:
    raise UserError(
      f"{where} [hidden_act]",
      f"found '{activation}'",
      f"one of {', '.join(ACTIVATIONS)}",
    )
  placing = config.get("position_embedding_type", "absolute")
  if placing != "absolute":
    raise UserError(
      f"{where} [position_embedding_type]", f"found '{placing}'", "absolute"
    )
  return BertConfig(
    vocabulary=get("vocab_size"),
    width=get("hidden_size", "dim"),
    layers=get("num_hidden_layers", "n_layers"),
    heads=get("num_attention_heads", "n_heads"),
    hidden=get("intermediate_size", "hidden_dim"),
    positions=get("max_position_embeddings"),
    # RoBERTa counts from the row after that of padding.
    first_position=get("pad_token_id") + 1 if family == "roberta" else 0,
    types=0 if distil else get("type_vocab_size"),
    activation=ACTIVATIONS[activation],
    epsilon=1e-12 if distil else get("layer_norm_eps"),
    rate=get("hidden_dropout_prob", "dropout"),
  )


class _Tensors:
  """Gives each tensor once, and knows which were not asked for."""

  def __init__(
    self, tensors: Mapping[str, np.ndarray], family: str, where: str
  ):
    self.where = where
    # Models saved with a head: 'bert.embeddings...'; old names of a norm's.
    new_names = {"gamma": "weight", "beta": "bias"}
    self.left = {}
    for name, tensor in tensors.items():
      start, dot, last = name.removeprefix(f"{family}.").rpartition(".")
      self.left[start + dot + new_names.get(last, last)] = tensor

  def take(self, name: str, *shape: int) -> np.ndarray:
    if name not in self.left:
      raise UserError(
        self.where, f"no tensor '{name}'", "weights that fit config.json"
      )
    tensor = self.left.pop(name)
    if tensor.shape != shape:
      raise UserError(
        f"{self.where} [{name}]",
        f"shape {tensor.shape}",
        f"{shape} as config.json says",
      )
    return tensor

  def check_empty(self) -> None:
    extra = sorted(n for n in self.left if not _UNUSED.match(n))
    if extra:
      raise UserError(
        self.where,
        f"{len(extra)} unexpected tensors, such as '{extra[0]}'",
        "weights that fit config.json",
      )


def load(
  config: Mapping[str, Any],
  tensors: Mapping[str, np.ndarray],
  where: str,
  *,
  dtype: Any = jnp.float32,
) -> Bert:
  """A model with the weights of a folder.

  Args:
    config, tensors: as `checkpoint.huggingface.read` gives them.
    where: the folder, for messages.

  Raises:
    UserError: the family is not known, or a tensor is missing, is not expected
      or has another shape than the config says.
  """
  sizes = read_config(config, where)
  family = str(config["model_type"])
  bert = Bert(sizes, nnx.Rngs(params=jax.random.key(0)), dtype=dtype)
  source = _Tensors(tensors, family, where)
  width, start = sizes.width, "embeddings."
  bert.words[...] = source.take(
    f"{start}word_embeddings.weight", sizes.vocabulary, width
  )
  bert.positions[...] = source.take(
    f"{start}position_embeddings.weight", sizes.positions, width
  )
  if bert.types is not None:
    bert.types[...] = source.take(
      f"{start}token_type_embeddings.weight", sizes.types, width
    )
  _set_norm(bert.norm, source, f"{start}LayerNorm")
  for place, block in enumerate(bert.blocks):
    _set_block(block, sizes, source, _LAYERS[family], place)
  source.check_empty()
  return bert


def _set_block(
  block: Any, sizes: BertConfig, source: _Tensors, names: _Layer, place: int
) -> None:
  start, width = names.start.format(place), sizes.width
  # Of each head its queries, keys and values stand side by side.
  split = (-1, sizes.heads, width // sizes.heads)
  maps = [_linear(source, start + name, width, width) for name in names.qkv]
  kernels, biases = zip(*maps, strict=True)
  attention = block.attention
  attention.qkv.kernel[...] = np.concatenate(
    [kernel.reshape(split) for kernel in kernels], axis=-1
  ).reshape(width, -1)
  attention.qkv.bias[...] = np.concatenate(
    [bias.reshape(split) for bias in biases], axis=-1
  ).reshape(-1)
  for linear, name, inputs, outputs in (
    (attention.out, names.out, width, width),
    (block.mlp.up, names.up, width, sizes.hidden),
    (block.mlp.down, names.down, sizes.hidden, width),
  ):
    kernel, bias = _linear(source, start + name, inputs, outputs)
    linear.kernel[...], linear.bias[...] = kernel, bias
  _set_norm(block.attention_norm, source, start + names.attention_norm)
  _set_norm(block.mlp_norm, source, start + names.mlp_norm)


def _linear(
  source: _Tensors, name: str, inputs: int, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
  """W [inputs, outputs] and b; PyTorch stores W transposed."""
  kernel = source.take(f"{name}.weight", outputs, inputs).T
  return kernel, source.take(f"{name}.bias", outputs)


def _set_norm(norm: Any, source: _Tensors, name: str) -> None:
  width = norm.num_features
  norm.scale[...] = source.take(f"{name}.weight", width)
  norm.bias[...] = source.take(f"{name}.bias", width)
