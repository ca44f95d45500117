"""Answers that are written, from training to the answer, as a user."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOP = ("--config.data.source=storefront", "--config.data.shop_people=200")


def command(cwd, module, *flags):
  """Runs `python -m experiments.<module>` on one CPU device."""
  made = {"PYTHONPATH": str(ROOT), "XLA_FLAGS": "", "HOME": str(cwd)}
  done = subprocess.run(
    [sys.executable, "-m", f"experiments.{module}", *flags],
    cwd=cwd,
    env=os.environ | made,
    capture_output=True,
    text=True,
    timeout=240,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_products_are_written(tmp_path):
  config = ROOT / "configs" / "beauty_generative.py"
  command(tmp_path, "train", f"--config={config}:tiny", "--workdir=run", *SHOP)
  told = (
    tmp_path / "run/evaluation/test-strict-items-tagrec_jax.json"
  ).read_text()
  assert json.loads(told)["metrics"]["recall@20"] > 0
  history = tmp_path / "history.jsonl"
  history.write_text('{"id": "item_003"}\n{"id": "item_011"}\n')
  answer = json.loads(
    command(
      tmp_path,
      "recommend",
      "--workdir=run",
      "--history=history.jsonl",
      "--top_k=5",
    )
  )
  scores = [item["score"] for item in answer["items"]]
  assert len(scores) == 5
  assert scores == sorted(scores, reverse=True)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
  cwd = tmp_path_factory.mktemp("tagger")
  config = ROOT / "configs" / "software_written.py"
  command(
    cwd,
    "train",
    f"--config={config}:tiny",
    "--workdir=run",
    "--config.model.product=('ngrams', 'numbers')",
    *SHOP,
  )
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
  answer = json.loads(command(tagger, "recommend", *flags))
  assert 0 < answer["probability"] <= 1
  assert len(answer["tags"]) <= 6


def test_no_tag_is_written_that_is_not_allowed(tagger):
  flags = ("--workdir=run", "--products=new.jsonl", "--allowed=morning,lamp")
  answer = json.loads(command(tagger, "recommend", *flags))
  assert {tag["tag"] for tag in answer["tags"]} <= {"morning", "lamp"}
