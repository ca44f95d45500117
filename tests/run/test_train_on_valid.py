"""A run that trains on valid asks nothing of it and keeps its last step."""

from __future__ import annotations

import pytest

from configs import storefront
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.run import trained
from tagrec_jax.run.evaluate import evaluate
from tagrec_jax.run.train import train
from tagrec_jax.training.writers import read_rows


def test_the_last_step_is_measured_on_test_alone(tmp_path, capsys):
  config = storefront.get_config("tiny")
  config.data.cache_dir = str(tmp_path / "cache")
  config.data.shop_people = 60
  config.data.shop_items = 40
  config.data.shop_tags = 4
  config.data.train_on_valid = True
  config.objective.tags_weight = 0.0
  config.train.steps = 6
  config.train.evaluate_every = 2
  config.train.patience = 0
  config.checkpoint.save_every = 4
  config.evaluation.bootstrap_samples = 0
  config.evaluation.baselines = ()
  folder = str(tmp_path / "run")
  outcome = train(build.settings(config.to_dict()), folder)
  assert outcome.result.ending == "finished"
  assert outcome.result.best is None
  assert list(outcome.reports) == ["test"]
  rows = read_rows(outcome.folder.metrics)
  assert not any(name.startswith("valid/") for row in rows for name in row)
  # 'best' means the last.
  run = trained.load(folder)
  assert run.step == 6
  assert len(run.dataset.valid.people) == 0
  with pytest.raises(UserError, match="--split: found 'valid', but this run"):
    evaluate(folder, split="valid")
  assert "step 6, the last" in capsys.readouterr().err
