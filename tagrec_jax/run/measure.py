"""Measure a model, and the baselines beside it, on held-out questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from tagrec_jax import build
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset, Questions
from tagrec_jax.data.pipeline import Batch
from tagrec_jax.data.questions import question_batches
from tagrec_jax.evaluation.evaluate import (
  ItemMeter,
  Meter,
  Rules,
  TagMeter,
  evaluate,
)
from tagrec_jax.evaluation.report import Report
from tagrec_jax.models.baselines.scorers import item_counts
from tagrec_jax.tasks.task import Task

Scores = Callable[[Mapping[str, Any]], Mapping[str, Any]]
OURS = "tagrec_jax"


class Measure:
  """The held-out questions of one split under one protocol.

  Args:
    split: 'valid' or 'test'.
    protocol: a name of evaluation/protocols.py.
    people: ask only this many, drawn by the seed; 0 asks everybody.
    intervals: bootstrap 95 % intervals, which cost a second.
  """

  def __init__(
    self,
    settings: Settings,
    dataset: Dataset,
    split: str,
    *,
    protocol: str = "",
    people: int = 0,
    intervals: bool = True,
  ):
    self._settings = settings
    self._dataset = dataset
    self._protocol = build.PROTOCOLS[protocol or settings.evaluation.protocol]
    self._questions = _some(getattr(dataset, split), people, settings.seed)
    self._counts = item_counts(dataset)
    self._rules = Rules(
      cutoffs=settings.evaluation.cutoffs,
      bootstrap_samples=(
        settings.evaluation.bootstrap_samples if intervals else 0
      ),
      seed=settings.seed,
      passport={
        "data": dataset.name,
        "data fingerprint": dataset.fingerprint,
        "split": f"{settings.data.split}, {split}",
        "seed": settings.seed,
      },
    )

  def items(self, scores: Callable[..., Any], model: str) -> Report:
    """The places of the products people took, for scores [B, C]."""
    return evaluate(scores, self._batches(), self._meter("items", model))

  def tags(self, scores: Callable[..., Any], model: str) -> Report:
    """The places of the tags of the products people took."""
    return evaluate(scores, self._batches(), self._meter("tags", model))

  def all(
    self, scores: Scores, baselines: bool = True
  ) -> dict[str, dict[str, Report]]:
    """target → model → report, with the baselines first and ours last."""
    chosen = self._settings.evaluation.baselines
    known = {
      "items": (build.ITEM_BASELINES, chosen),
      "tags": (build.TAG_BASELINES, build.TAG_BASELINES.names),
    }
    ours = {
      target: self._meter(target, self._description(target))
      for target in build.targets(self._settings)
    }
    # One answer of the model serves all targets.
    for batch in self._batches():
      answers = scores(batch)
      for target, meter in ours.items():
        meter.add(batch, answers[target])
    reports: dict[str, dict[str, Report]] = {}
    for target, meter in ours.items():
      table, names = known[target]
      reports[target] = {
        name: evaluate(
          table[name]().fit(self._dataset),
          self._batches(),
          self._meter(target, name),
        )
        for name in names
        if baselines
      } | {OURS: meter.report()}
    return reports

  def _meter(self, target: str, model: str) -> Meter:
    rules = dataclasses.replace(
      self._rules, passport=self._rules.passport | {"model": model}
    )
    if target == "items":
      return ItemMeter(rules, protocol=self._protocol, item_counts=self._counts)
    return TagMeter(
      rules,
      tags_of_item=self._dataset.product["tags"],
      num_tags=self._dataset.spec.num_tags,
    )

  def _description(self, target: str) -> str:
    """What a reader of the report has to know of our own model."""
    settings = self._settings
    loss = getattr(settings.objective, target)
    told = f"{settings.name}: {settings.model.history}, loss {loss}"
    if target == "items" and settings.model.memory_weight:
      told += f", mixed with a memory of weight {settings.model.memory_weight}"
    return told

  def _batches(self) -> Iterator[Batch]:
    return question_batches(
      self._dataset,
      self._questions,
      self._settings.pipeline,
      batch_people=self._settings.evaluation.batch_people,
      moment=self._settings.model.moment,
      person=self._settings.model.person,
    )


class Asker:
  """The model compiled once, to be asked with any parameters."""

  def __init__(self, model: Task):
    self._prepare = jax.jit(model.prepare)
    self._scores = jax.jit(model.scores)

  def of(self, params: Any) -> Scores:
    """batch → target → scores [B, C]."""
    # What only the ranking reads stays on the host: the widths of `seen_ids`
    # differ between questions, and each would compile the model again.
    unread = ("question", "seen_ids", "target_ids", "history_lengths")
    ready = self._prepare(params)

    def ask(batch: Mapping[str, Any]) -> Mapping[str, Any]:
      read = {k: v for k, v in batch.items() if k not in unread}
      return self._scores(ready, read)

    return ask


def _some(questions: Questions, people: int, seed: int) -> Questions:
  if not people or people >= len(questions.people):
    return questions
  chosen = np.random.default_rng(seed).permutation(len(questions.people))
  chosen = np.sort(chosen[:people])
  return Questions(questions.people[chosen], questions.events[chosen])
