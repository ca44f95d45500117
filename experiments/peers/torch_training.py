"""PyTorch's SASRec, training: as people write it, and as fast as it gets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

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
  data = Events.read(events)
  ids, targets = map(torch.from_numpy, data.training(MAX_HISTORY))

  def batches() -> Iterator[torch.Tensor]:
    while True:
      yield from torch.randperm(len(ids)).split(PEOPLE)

  return _training(
    data.num_items,
    batches(),
    lambda model, rows: padded_loss(model, ids[rows], targets[rows]),
    dtype,
  )


def trimmed(events: str, dtype: str) -> Run:
  """The best we know without another model.

  Batches of histories of similar length, as many questions in each as 256
  people have on average, so that steps are equally long; trimmed to their
  longest; only positions with a target reach the catalogue; fused Adam; started
  with an allocator that keeps large blocks.

  Also tried, and no faster: torch.compile of the loss, cross-entropy in chunks
  of 256 questions, and a loss of our own in chunks that makes its gradient on
  the way forward.
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
      ends = torch.arange(budget, float(asked[-1]), budget).double()
      made = order.tensor_split(torch.searchsorted(asked, ends).tolist())
      for number in torch.randperm(len(made)).tolist():
        yield made[number]

  return _training(
    data.num_items,
    batches(),
    lambda model, rows: trimmed_loss(model, ids[rows], targets[rows]),
    dtype,
    fused=True,
  )


def padded_loss(
  model: SASRec, ids_BS: torch.Tensor, targets_BS: torch.Tensor
) -> tuple[torch.Tensor, float]:
  """The mean loss of the questions, and how many there are."""
  logits_BSC = model.scores(model(ids_BS))
  loss = functional.cross_entropy(
    logits_BSC.flatten(0, 1), targets_BS.flatten(), ignore_index=-1
  )
  return loss, float((targets_BS >= 0).sum())


def trimmed_loss(
  model: SASRec, ids_BS: torch.Tensor, targets_BS: torch.Tensor
) -> tuple[torch.Tensor, float]:
  """The same, with less to compute."""
  longest = int((targets_BS >= 0).sum(1).max())
  targets_BS = targets_BS[:, :longest]
  asked_BS = targets_BS >= 0
  interest_QD = model(ids_BS[:, :longest])[asked_BS]
  logits_QC = model.scores(interest_QD)
  loss = functional.cross_entropy(logits_QC, targets_BS[asked_BS])
  return loss, float(len(interest_QD))


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
