"""PyTorch's SASRec, asked for everyone's next product."""

from __future__ import annotations

import numpy as np
import torch

from experiments.benchmarks import child
from experiments.benchmarks.child import Run
from experiments.peers.events import Events
from experiments.peers.torch_sasrec import MAX_HISTORY, SASRec, load

PEOPLE = 256
TOP = 20


def ranking(events: str, parameters: str) -> Run:
  """Ranks the whole catalogue for each person; work is people.

  Batches of similar length, trimmed to their longest; one matrix product for
  the last positions; what a person had is masked; the best 20 are looked
  through for the target.

  Args:
    parameters: an npz of ours, see `torch_sasrec.load`.
  """
  torch.set_num_threads(child.threads())
  data = Events.read(events)
  model = SASRec(data.num_items)
  with np.load(parameters) as file:
    load(model, {name: file[name] for name in file.files})
  model.eval()
  known, seen = map(torch.from_numpy, data.questions(MAX_HISTORY))
  targets = torch.from_numpy(data.items[data.test_events]).long()
  # Unknown products have no score to mask: they point beside the catalogue.
  seen = torch.where(seen < 0, data.num_items, seen)
  lengths = torch.from_numpy(
    np.minimum(data.test_events - data.offsets[data.test_people], MAX_HISTORY)
  )
  batches = lengths.argsort().split(PEOPLE)
  sizes = (seen < data.num_items).sum(1)

  def places(rows: torch.Tensor) -> torch.Tensor:
    """The place of each target among the best, from 0; TOP if it is none."""
    interest = model(known[rows, : int(lengths[rows].max())])
    last = interest[torch.arange(len(rows)), lengths[rows] - 1]
    scores = last.new_empty(len(rows), data.num_items + 1)
    torch.mm(last, model.items.weight.T, out=scores[:, :-1])
    scores.scatter_(1, seen[rows, : int(sizes[rows].max())], -torch.inf)
    best = scores[:, :-1].topk(TOP).indices
    hits = best == targets[rows, None]
    return torch.where(hits.any(1), hits.int().argmax(1), TOP)

  @torch.inference_mode()
  def run(passes: int) -> dict[str, float]:
    for _ in range(passes):
      found = torch.cat([places(rows) for rows in batches])
    gain = torch.where(found < TOP, 1 / torch.log2(found + 2.0), 0.0)
    return {
      "work": passes * len(found),
      f"recall@{TOP}": float((found < TOP).float().mean()),
      f"ndcg@{TOP}": float(gain.mean()),
    }

  return run
