"""Answers that are written, from training to the answer, as a user."""

from __future__ import annotations

import json

import pytest

from tagrec_jax.run.recommend import recommend
from tests.experiments.test_shop import ROOT, command

SHOP = (
  *("--config.data.source=storefront", "--config.data.shop_people=200"),
  "--config.evaluation.bootstrap_samples=0",
  "--config.evaluation.baselines=()",
)
SMALL = (
  *("--config.data.shop_people=100", "--config.data.shop_items=60"),
  *("--config.train.steps=10", "--config.train.evaluate_every=10"),
  "--config.optimizer.warmup_steps=0",
)


def train(cwd, name, *flags):
  """Runs `python -m experiments.train` on one CPU device."""
  config = ROOT / "configs" / f"{name}.py"
  flags = (f"--config={config}:tiny", "--workdir=run", *SHOP, *flags)
  cache = f"--config.data.cache_dir={cwd / 'cache'}"  # found from anywhere
  done = command("train", *flags, cache, cwd=cwd)
  assert done.returncode == 0, done.stderr


@pytest.fixture
def ask(capsys):
  """The answer of `experiments.recommend`, in this process."""

  def ask(cwd, **flags):
    recommend(str(cwd / "run"), **flags)
    return json.loads(capsys.readouterr().out)

  return ask


@pytest.mark.nightly
def test_products_are_written(tmp_path, ask):
  train(tmp_path, "beauty_generative", *SMALL)
  told = (
    tmp_path / "run/evaluation/test-strict-items-tagrec_jax.json"
  ).read_text()
  assert json.loads(told)["metrics"]["recall@20"] > 0
  history = tmp_path / "history.jsonl"
  history.write_text('{"id": "item_03"}\n{"id": "item_11"}\n')
  answer = ask(tmp_path, history=str(history), top_k="5")
  scores = [item["score"] for item in answer["items"]]
  assert len(scores) == 5
  assert scores == sorted(scores, reverse=True)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
  cwd = tmp_path_factory.mktemp("tagger")
  train(cwd, "software_written", "--config.model.product=('ngrams', 'numbers')")
  (cwd / "new.jsonl").write_text(
    '{"item_id": "a", "title": "Morning lamp no. 99"}\n'
  )
  return cwd


def test_tags_are_written(tagger):
  report = json.loads(
    (tagger / "run/evaluation/test-strict-tags-tagrec_jax.json").read_text()
  )
  assert 0 < report["metrics"]["micro_f1"] <= 1
  flags = ("--workdir=run", "--products=new.jsonl", "--top_k=auto")
  done = command("recommend", *flags, cwd=tagger)
  assert done.returncode == 0, done.stderr
  answer = json.loads(done.stdout)
  assert 0 < answer["probability"] <= 1
  assert len(answer["tags"]) <= 6


def test_no_tag_is_written_that_is_not_allowed(tagger, ask):
  products, allowed = str(tagger / "new.jsonl"), ["morning", "lamp"]
  answer = ask(tagger, products=products, allowed=allowed)
  assert {tag["tag"] for tag in answer["tags"]} <= {"morning", "lamp"}
