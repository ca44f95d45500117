"""Evaluation: people ranked a second, over the whole catalogue.

Every contestant ranks all products for every person's test event, leaves out
what the person had, and takes recall and ndcg at 20. Ours and PyTorch's have
the same parameters, which are random: speed does not depend on them.
"""

from __future__ import annotations

import math
import pathlib
from typing import Any

import numpy as np

from experiments.benchmarks import subject
from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import TUNED_ALLOCATOR, Contestant, Score
from experiments.benchmarks.result import Result, faster
from experiments.peers.events import Events
from tagrec_jax import build
from tagrec_jax.core.errors import TagrecError
from tagrec_jax.core.rng import named_key
from tagrec_jax.core.trees import named_leaves

_OURS, _TORCH, _RECBOLE = "tagrec_jax", "PyTorch trimmed", "RecBole"
METRICS = ("recall@20", "ndcg@20")


def run(bench: Bench) -> Result:
  """PyTorch, RecBole if its interpreter is known, and ours."""
  settings = subject.settings(bench.folder)
  dataset = build.dataset(settings)
  events = subject.write_events(dataset, bench.data)
  parameters = bench.data / "parameters.npz"
  made = build.model(settings, dataset).init(named_key(0, "benchmark"))
  leaves: dict[str, Any] = {
    name: np.asarray(leaf) for name, leaf in named_leaves(made).items()
  }
  np.savez(parameters, **leaves)
  shared = {"events": str(events), "parameters": str(parameters)}
  peer = "experiments.peers.torch_evaluation:ranking"
  contestants = [
    Contestant(_TORCH, peer, shared, TUNED_ALLOCATOR),
    Contestant(
      _OURS,
      "experiments.benchmarks.ours:evaluation",
      {"folder": bench.folder, "parameters": str(parameters)},
    ),
  ]
  if bench.recbole:
    write_recbole(Events.read(events), bench.data)
    contestants.append(
      Contestant(
        _RECBOLE,
        "experiments.peers.recbole_sasrec:evaluation",
        {"folder": str(bench.data)},
        python=bench.recbole,
      )
    )
  scores = bench.contest(contestants)
  check_agreement(scores)
  return Result(
    title="Evaluation",
    unit="people/s",
    conditions={
      "data": dataset.name,
      "people": len(dataset.test.people),
      "products": dataset.spec.num_items,
    },
    groups=[scores],
    targets=[
      *faster(scores, _OURS, _RECBOLE, 5.0),
      *faster(scores, _OURS, _TORCH, 2.0),
    ],
  )


def check_agreement(scores: list[Score]) -> None:
  """Raises TagrecError unless ours and PyTorch's found the same.

  Equal parameters give equal lists but for sums in another order, which may
  swap two products now and then.
  """
  found = {s.name: s.turns[-1] for s in scores if s.name in (_OURS, _TORCH)}
  for name in METRICS:
    values = [turn[name] for turn in found.values()]
    if not math.isclose(min(values), max(values), rel_tol=0.01):
      raise TagrecError(
        "evaluation", f"{name} is {values} for {list(found)}", "the same"
      )


def write_recbole(events: Events, folder: pathlib.Path) -> None:
  """The events as one of RecBole's atomic files."""
  (folder / "events").mkdir(parents=True, exist_ok=True)
  people = np.repeat(
    np.arange(len(events.offsets) - 1), np.diff(events.offsets)
  )
  rows = np.stack([people, events.items, np.arange(len(people))], axis=1)
  np.savetxt(
    folder / "events" / "events.inter",
    rows,
    fmt="%d",
    delimiter="\t",
    header="user_id:token\titem_id:token\ttimestamp:float",
    comments="",
  )
