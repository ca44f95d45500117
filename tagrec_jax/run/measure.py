"""Measure a model, and the baselines beside it, on held-out questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tagrec_jax import build
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.evaluation.answers import Rules
from tagrec_jax.evaluation.calibrate import Calibration
from tagrec_jax.evaluation.evaluate import Meter, evaluate
from tagrec_jax.evaluation.moments import at_other_moments
from tagrec_jax.evaluation.report import Report
from tagrec_jax.run.asked import asked
from tagrec_jax.sharding import place
from tagrec_jax.tasks.task import InTiles, Task

Scores = Callable[[Mapping[str, Any]], Mapping[str, Any]]
OURS = "tagrec_jax"

UNREAD = frozenset(
  {
    *("question", "seen_ids", "target_ids", "history_lengths"),
    *("product_ids", "target_tags", "relevant_tags", "events"),
  }
)
"""Arrays of a batch of questions that stay on the host.

Only the ranking reads them: the widths of `seen_ids` differ between questions,
and each would compile the model again.
"""


class Measure:
  """The held-out questions of one split under one protocol.

  Args:
    split: 'valid' or 'test'.
    protocol: a name of evaluation/protocols.py.
    most: ask only this many questions, drawn by the seed; 0 asks all.
    intervals: bootstrap 95 % intervals, which cost a second.
    calibration: of our own model, for sets of tags; None measures lists alone.
  """

  def __init__(
    self,
    settings: Settings,
    dataset: Dataset,
    split: str,
    *,
    protocol: str = "",
    most: int = 0,
    intervals: bool = True,
    calibration: Calibration | None = None,
  ):
    self._settings = settings
    self._dataset = dataset
    self._protocol = protocol or settings.evaluation.protocol
    self._calibration = calibration
    self._asked = asked(settings, dataset, split, most)
    self._rules = Rules(
      cutoffs=settings.evaluation.cutoffs,
      bootstrap_samples=(
        settings.evaluation.bootstrap_samples if intervals else 0
      ),
      seed=settings.seed,
      approximate=settings.evaluation.approximate_recall,
      passport={
        "data": dataset.name,
        "data fingerprint": dataset.fingerprint,
        "split": f"{settings.data.split}, {split}",
        "seed": settings.seed,
      },
    )

  def one(self, target: str, scores: Callable[..., Any], model: str) -> Report:
    """How well a model answers for one target.

    Args:
      target: 'items' or 'tags'.
      scores: batch → `Rows` or scores [B, C].
      model: what a reader of the report has to know of it.
    """
    return evaluate(scores, self._asked.batches(), self._meter(target, model))

  def all(
    self, scores: Scores, baselines: bool = True
  ) -> dict[str, dict[str, Report]]:
    """target → model → report, with the baselines first and ours last."""
    ours = {
      target: self._meter(target, self._description(target), self._calibration)
      for target in build.targets(self._settings)
    }
    # One answer of the model serves all targets.
    for batch in self._asked.batches():
      answers = scores(batch)
      for target, meter in ours.items():
        meter.add(batch, answers[target])
    reports: dict[str, dict[str, Report]] = {}
    for target, meter in ours.items():
      others = self._asked.baselines(target) if baselines else {}
      reports[target] = {
        name: self.one(target, baseline().fit(self._dataset), name)
        for name, baseline in others.items()
      } | {OURS: meter.report()}
    return reports

  def at_other_moments(self, scores: Scores, seed: int) -> dict[str, Report]:
    """target → report of the same questions with moments shuffled."""
    meters = {
      target: self._meter(target, f"{self._description(target)}, shuffled")
      for target in build.targets(self._settings)
    }
    for batch in at_other_moments(self._asked.batches, seed):
      answers = scores(batch)
      for target, meter in meters.items():
        meter.add(batch, answers[target])
    return {target: meter.report() for target, meter in meters.items()}

  def _meter(
    self, target: str, model: str, calibration: Calibration | None = None
  ) -> Meter:
    passport = self._rules.passport | {"model": model}
    rules = dataclasses.replace(self._rules, passport=passport)
    return self._asked.meter(target, rules, self._protocol, calibration)

  def _description(self, target: str) -> str:
    """What a reader of the report has to know of our own model."""
    settings = self._settings
    loss = getattr(settings.objective, target)
    reads = settings.model.history
    if settings.task == "tag_item":
      reads = ", ".join(settings.model.product)
    told = f"{settings.name}: {reads}, loss {loss}"
    if settings.objective.question == "masked":
      told += ", of masked events"
    if target == "items" and settings.model.memory_weight:
      told += f", mixed with a memory of weight {settings.model.memory_weight}"
    return told


class Asker:
  """The model compiled once, to be asked with any parameters.

  A model that asks its catalogue by vectors gives rows that are scored a tile
  at a time (decoding/tiles.py), each device a part of the catalogue; all others
  give whole rows of scores.

  Args:
    mesh: of the devices that share the work; None for one.
  """

  def __init__(self, model: Task, mesh: Mesh | None = None):
    self._model = model
    self._tiled = (
      model if isinstance(model, InTiles) and model.in_tiles else None
    )
    self._mesh = mesh if mesh is not None and mesh.size > 1 else None
    self._prepare = jax.jit(self.prepare)
    self._ask = jax.jit(self.ask)

  def of(self, params: Any) -> Scores:
    """batch → target → `Rows`, or scores [B, C]."""
    ready = self._prepare(params)

    def answer(batch: Mapping[str, Any]) -> Mapping[str, Any]:
      read = {k: v for k, v in batch.items() if k not in UNREAD}
      if self._mesh is not None:
        read = place.place_rows(read, self._mesh)
      return self.answers(ready, self._ask(ready, read))

    return answer

  def prepare(self, params: Any) -> Any:
    """What is the same for all, each device keeping its part of catalogues."""
    if self._tiled is None or self._mesh is None:
      return self._model.prepare(params)
    ready = self._tiled.prepare(params, self._mesh.size)
    parts = PartitionSpec(self._mesh.axis_names)
    return self._tiled.split(ready, NamedSharding(self._mesh, parts))

  def ask(self, ready: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The queries of all questions, for every device; or scores [B, C]."""
    if self._tiled is None:
      found = self._model.scores(ready, batch)
    else:
      found = self._tiled.queries(ready, batch, self._mesh)
    if self._mesh is None:
      return found
    whole = NamedSharding(self._mesh, PartitionSpec())
    return jax.lax.with_sharding_constraint(found, whole)

  def answers(self, ready: Any, found: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `ask` found, with the catalogues that are asked.

    Not to be compiled with it: a result would be a copy of the catalogue.
    """
    if self._tiled is None:
      return found
    return self._tiled.scored(ready, found, self._mesh)
