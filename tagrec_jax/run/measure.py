"""Measure a model, and the baselines beside it, on held-out questions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from tagrec_jax import build
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset, Questions
from tagrec_jax.data.pipeline import Batch
from tagrec_jax.data.questions import question_batches
from tagrec_jax.evaluation.evaluate import evaluate, evaluate_tags
from tagrec_jax.evaluation.report import Report
from tagrec_jax.models.baselines.scorers import item_counts

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
    self._common: dict[str, Any] = {
      "cutoffs": settings.evaluation.cutoffs,
      "bootstrap_samples": (
        settings.evaluation.bootstrap_samples if intervals else 0
      ),
      "seed": settings.seed,
    }
    self._passport = {
      "data": dataset.name,
      "data fingerprint": dataset.fingerprint,
      "split": f"{settings.data.split}, {split}",
      "seed": settings.seed,
    }

  def items(self, scores: Callable[..., Any], model: str) -> Report:
    """The places of the products people took, for scores [B, C]."""
    return evaluate(
      scores,
      self._batches(),
      protocol=self._protocol,
      item_counts=self._counts,
      passport=self._passport | {"model": model},
      **self._common,
    )

  def tags(self, scores: Callable[..., Any], model: str) -> Report:
    """The places of the tags of the products people took."""
    return evaluate_tags(
      scores,
      self._batches(),
      self._dataset.product["tags"],
      num_tags=self._dataset.spec.num_tags,
      passport=self._passport | {"model": model},
      **self._common,
    )

  def all(
    self, scores: Scores, baselines: bool = True
  ) -> dict[str, dict[str, Report]]:
    """target → model → report, with the baselines first and ours last."""
    chosen = self._settings.evaluation.baselines
    asked = {
      "items": (self.items, build.ITEM_BASELINES, chosen),
      "tags": (self.tags, build.TAG_BASELINES, build.TAG_BASELINES.names),
    }
    reports = {}
    for target in build.targets(self._settings):
      measure, table, names = asked[target]
      reports[target] = {
        name: measure(table[name]().fit(self._dataset), name)
        for name in names
        if baselines
      }
      # `target` is bound now: the loop goes on before a lambda would read it.
      ours = functools.partial(_one, scores, target)
      reports[target][OURS] = measure(ours, self._description(target))
    return reports

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


def _one(scores: Scores, target: str, batch: Mapping[str, Any]) -> Any:
  return scores(batch)[target]


class Asker:
  """The model compiled once, to be asked with any parameters."""

  def __init__(self, scores: Callable[..., Any]):
    self._compiled = jax.jit(scores)

  def of(self, params: Any) -> Scores:
    """batch → target → scores [B, C]."""
    # What only the ranking reads stays on the host: the widths of `seen_ids`
    # differ between questions, and each would compile the model again.
    unread = ("seen_ids", "target_ids", "history_lengths", "mask")

    def ask(batch: Mapping[str, Any]) -> Mapping[str, Any]:
      read = {k: v for k, v in batch.items() if k not in unread}
      return self._compiled(params, read)

    return ask


def _some(questions: Questions, people: int, seed: int) -> Questions:
  if not people or people >= len(questions.people):
    return questions
  chosen = np.random.default_rng(seed).permutation(len(questions.people))
  chosen = np.sort(chosen[:people])
  return Questions(questions.people[chosen], questions.events[chosen])
