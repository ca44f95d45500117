"""SASRec in PyTorch: the same model as configs/base.py, written as people do.

Pre-norm transformer, learned positions, one table of products that reads the
history and ranks (Kang & McAuley 2018). Sizes, activation, dropout and norms
are those of `tagrec_jax.models`; with `load` it gives the same numbers.

Histories are padded on the right, so the causal mask alone keeps padding out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

WIDTH, LAYERS, HEADS, HIDDEN, DROPOUT = 64, 2, 2, 256, 0.2
MAX_HISTORY = 50


class Block(nn.Module):
  """x + attention(norm(x)), then x + mlp(norm(x))."""

  def __init__(self):
    super().__init__()
    self.attention_norm = nn.LayerNorm(WIDTH, eps=1e-6)
    self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
    self.out = nn.Linear(WIDTH, WIDTH)
    self.mlp_norm = nn.LayerNorm(WIDTH, eps=1e-6)
    self.up = nn.Linear(WIDTH, HIDDEN)
    self.down = nn.Linear(HIDDEN, WIDTH)
    self.dropout = nn.Dropout(DROPOUT)

  def forward(self, x_BSD: torch.Tensor) -> torch.Tensor:
    batch, size, _ = x_BSD.shape
    qkv = self.qkv(self.attention_norm(x_BSD))
    qkv = qkv.view(batch, size, HEADS, 3 * WIDTH // HEADS).transpose(1, 2)
    q_BNSH, k_BNSH, v_BNSH = qkv.chunk(3, -1)
    mixed_BNSH = functional.scaled_dot_product_attention(
      q_BNSH, k_BNSH, v_BNSH, is_causal=True
    )
    mixed_BSD = mixed_BNSH.transpose(1, 2).reshape(batch, size, WIDTH)
    x_BSD = x_BSD + self.dropout(self.out(mixed_BSD))
    up = functional.gelu(self.up(self.mlp_norm(x_BSD)), approximate="tanh")
    return x_BSD + self.dropout(self.down(up))


class SASRec(nn.Module):
  """History → the interest at every position.

  Args:
    products: C, the size of the catalogue.
  """

  def __init__(self, products: int):
    super().__init__()
    self.items = nn.Embedding(products, WIDTH)
    self.positions = nn.Embedding(MAX_HISTORY, WIDTH)
    # Of products that training never saw; only held-out histories hold them.
    self.unknown = nn.Parameter(torch.zeros(WIDTH))
    self.dropout = nn.Dropout(DROPOUT)
    self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
    self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
    for table in (self.items, self.positions):
      nn.init.normal_(table.weight, std=0.02)

  def forward(self, ids_BS: torch.Tensor) -> torch.Tensor:
    """The interest after each event, [B, S, D]; -1 is padding or unknown."""
    x_BSD = self.items(ids_BS.clamp(min=0))
    if not self.training:
      x_BSD = torch.where((ids_BS < 0)[..., None], self.unknown, x_BSD)
    x_BSD = x_BSD + self.positions.weight[: ids_BS.shape[1]]
    x_BSD = self.dropout(x_BSD)
    for block in self.blocks:
      x_BSD = block(x_BSD)
    return self.norm(x_BSD)

  def scores(self, interest: torch.Tensor) -> torch.Tensor:
    """Of the whole catalogue: [..., D] → [..., C]."""
    return functional.linear(interest, self.items.weight)


def load(model: SASRec, ours: Mapping[str, np.ndarray]) -> None:
  """Takes over parameters of `tagrec_jax`, by name.

  Args:
    ours: name → array, as `tagrec_jax.core.trees.named_leaves` gives them.
  """
  pairs = {
    "items.weight": "products.table",
    "positions.weight": "history.positions",
    "norm.weight": "history.norm.scale",
    "norm.bias": "history.norm.bias",
  }
  layers = {
    "attention_norm": "attention_norm",
    "qkv": "attention.qkv",
    "out": "attention.out",
    "mlp_norm": "mlp_norm",
    "up": "mlp.up",
    "down": "mlp.down",
  }
  for block in range(LAYERS):
    for theirs, name in layers.items():
      weight = "scale" if theirs.endswith("norm") else "kernel"
      here, there = f"blocks.{block}.{theirs}", f"history.blocks.{block}.{name}"
      pairs[f"{here}.weight"] = f"{there}.{weight}"
      pairs[f"{here}.bias"] = f"{there}.bias"
  # Their kernels are [inputs, outputs], ours here [outputs, inputs].
  state = {
    name: torch.tensor(ours[there].T if "kernel" in there else ours[there])
    for name, there in pairs.items()
  }
  state["unknown"] = torch.tensor(ours["events.special"][0])
  model.load_state_dict(state)
