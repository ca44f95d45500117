"""PyTorch's SASRec, training: as people write it, and as fast as it gets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from experiments.benchmarks import child
from experiments.benchmarks.child import Run
from experiments.peers.events import Events
from experiments.peers.torch_sasrec import MAX_HISTORY, SASRec

PEOPLE = 256


def padded(events: str, dtype: str) -> Run:
  """Every history padded to 50, the loss over all positions.

  256 people a batch, cross-entropy over the whole catalogue with ignore_index,
  Adam. The data are tensors in memory, so no loader costs time.
  """
  ids, targets = map(
    torch.from_numpy, Events.read(events).training(MAX_HISTORY)
  )

  def batches() -> Iterator[torch.Tensor]:
    while True:
      yield from torch.randperm(len(ids)).split(PEOPLE)

  def loss(model: SASRec, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
    logits = model.scores(model(ids[rows]))
    right = targets[rows]
    return (
      functional.cross_entropy(
        logits.flatten(0, 1), right.flatten(), ignore_index=-1
      ),
      float((right >= 0).sum()),
    )

  return _training(Events.read(events).num_items, batches(), loss, dtype)


def trimmed(events: str, dtype: str) -> Run:
  """The best we know without another model.

  Batches of histories of similar length, trimmed to their longest, as many
  questions in each as 256 people have on average; only positions with a target
  reach the catalogue; fused Adam.
  """
  data = Events.read(events)
  ids, targets = map(torch.from_numpy, data.training(MAX_HISTORY))
  lengths = (targets >= 0).sum(1)
  budget = PEOPLE * float(lengths.float().mean())

  def batches() -> Iterator[torch.Tensor]:
    while True:
      order = torch.randperm(len(lengths))
      order = order[lengths[order].argsort(stable=True)]
      asked = lengths[order].cumsum(0).double()
      cuts = torch.searchsorted(
        asked, torch.arange(budget, float(asked[-1]), budget).double()
      )
      made = order.tensor_split(cuts.tolist())
      for number in np.random.default_rng(0).permutation(len(made)):
        yield made[number]

  def loss(model: SASRec, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
    longest = int(lengths[rows].max())
    right = targets[rows, :longest]
    asked = right >= 0
    interest = model(ids[rows, :longest])[asked]
    logits = model.scores(interest)
    return (
      functional.cross_entropy(logits, right[asked]),
      float(len(interest)),
    )

  return _training(data.num_items, batches(), loss, dtype, fused=True)


def _training(
  products: int,
  batches: Iterator[torch.Tensor],
  loss: Callable[[SASRec, torch.Tensor], tuple[torch.Tensor, float]],
  dtype: str,
  **adam: Any,
) -> Run:
  torch.set_num_threads(child.threads())
  torch.manual_seed(0)
  model = SASRec(products)
  optimizer = torch.optim.Adam(
    model.parameters(), lr=1e-3, betas=(0.9, 0.98), **adam
  )
  reduced = (
    torch.autocast("cpu", torch.bfloat16)
    if dtype == "bfloat16"
    else contextlib.nullcontext()
  )

  def run(steps: int) -> dict[str, float]:
    work = 0.0
    for _ in range(steps):
      with reduced:
        value, asked = loss(model, next(batches))
      optimizer.zero_grad()
      value.backward()
      optimizer.step()
      work += asked
    return {"work": work, "loss": float(value.detach())}

  return run
