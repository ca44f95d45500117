"""The project itself as a tagger: its normal training, then its answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.benchmarks.child import Run
from experiments.peers.tag_products import best, keep_answers
from tagrec_jax import build
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.run import trained
from tagrec_jax.run.train import train


def tags(config: Mapping[str, Any], workdir: str, answers: str) -> Run:
  """Trains anew and answers.

  The seconds are those of the whole of `experiments.train`: compilation,
  checkpoints and all measuring included.

  Args:
    config: of `core.settings.to_dict`.
    answers: the file to write, see `keep_answers`.
  """
  began = time.perf_counter()
  train(build.settings(config), workdir, restore="none")
  seconds = time.perf_counter() - began
  run = trained.load(workdir)
  given = {}
  for split in ("valid", "test"):
    rows = getattr(run.dataset, f"{split}_items")
    asked = [
      (batch["question"], np.asarray(run.scores(batch)["tags"]))
      for batch in product_question_batches(
        run.dataset,
        rows,
        features=run.settings.model.product,
        batch_products=run.settings.evaluation.batch_people,
      )
    ]
    question = np.concatenate([q for q, _ in asked])
    scores = np.concatenate([s for _, s in asked])[question >= 0]
    given[split] = best(scores[np.argsort(question[question >= 0])])
  keep_answers(answers, given)
  return lambda turns: {"work": turns, "training_seconds": seconds}
