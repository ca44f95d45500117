from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from experiments.benchmarks import (
  contest,
  evaluation,
  ours,
  parts,
  report,
  result,
  subject,
  text_encoding,
)
from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import Contestant, Score
from experiments.peers import drawn_texts, events, search
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.rng import named_key
from tagrec_jax.core.trees import named_leaves

ROOT = pathlib.Path(__file__).resolve().parents[2]

FAKE = """
import sys, time

def worker(log, name, work, pause=0.0, lives=10**6):
  print("libraries print what they like")
  asked = 0
  def run(n):
    nonlocal asked
    asked += 1
    if asked > lives:
      sys.exit("first line\\nno memory left")
    with open(log, "a") as file:
      file.write(f"{name}{n} ")
    time.sleep(n * pause)
    return {"work": n * work}
  return run

import os
if os.environ.get("FAKE_NEEDS"):
  import faiss_that_is_not_there
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
  """name, options → a contestant that only counts."""
  (tmp_path / "fake_contestant.py").write_text(FAKE)
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  log = tmp_path / "asked.txt"

  def make(name, work=1.0, environment=None, **options):
    return Contestant(
      name,
      "fake_contestant:worker",
      {"log": str(log), "name": name, "work": work, **options},
      environment or {},
    )

  make.log = log
  make.logs = tmp_path / "logs"
  return make


def hold(fake, *contestants, rounds=3, seconds=0.0, **options):
  return contest.contest(
    contestants, rounds=rounds, seconds=seconds, logs=fake.logs, **options
  )


def test_turns_alternate_and_every_second_round_is_turned_round(fake):
  steps = []
  hold(fake, fake("a"), fake("b"), step=steps.append)
  # Warm-up by the child, one to see how long a turn is, then the rounds.
  assert fake.log.read_text().split() == (
    ["a1", "a1", "b1", "b1", "a1", "b1", "b1", "a1", "a1", "b1"]
  )
  assert len(steps) == 2 * (2 + 3)


def test_ratios_are_to_the_first_contestant(fake):
  pause = {"pause": 0.02}
  slow, fast = hold(fake, fake("s", 1.0, **pause), fake("f", 8.0, **pause))
  assert (slow.ratio, slow.lowest, slow.highest) == (1, 1, 1)
  assert 4 < fast.lowest <= fast.ratio <= fast.highest < 16
  assert fast.peak_bytes > 2**20
  assert len(fast.turns) == 3
  assert fast.turns[0].keys() >= {"seconds", "cpu_seconds", "work", "turns"}


def test_turns_are_as_long_as_asked(fake):
  (score,) = hold(fake, fake("a", pause=0.01), rounds=1, seconds=0.1)
  assert 4 <= score.turns[0]["turns"] <= 10


def test_the_dead_are_named_with_their_last_words(fake, capsys):
  scores = hold(fake, fake("a"), fake("b", lives=3), fake("c"))
  assert [score.name for score in scores] == ["a", "c"]
  assert capsys.readouterr().err == (
    "WARN contestant 'b': ended with code 1: no memory left\n"
  )


def test_without_reference_there_is_no_contest(fake):
  with pytest.raises(UserError, match="'a': ended with code 1: no memory left"):
    hold(fake, fake("a", lives=2), fake("b"))


def test_a_missing_package_is_named_with_its_fix(fake):
  bare = fake("a", environment={"FAKE_NEEDS": "1"})
  with pytest.raises(UserError, match=r'not installed.*pip install -e "\.\[be'):
    hold(fake, bare)


def made_score(name, rates, peak=2 * 10**9):
  turns = [{"work": rate, "seconds": 1.0} for rate in rates]
  return Score(name, rates[0], 1.0, 0.5, 2.0, peak, 3.0, turns)


def test_targets_compare_round_by_round():
  a, b = made_score("a", [10, 20, 90]), made_score("b", [5, 5, 10], 10**9)
  (target,) = result.faster([a, b], "a", "b", 4.5)
  assert (target.found, target.lowest, target.highest) == (4, 2, 9)
  assert not target.met
  (memory,) = result.smaller([a, b], "b", "a", 0.5)
  assert memory.met
  assert not result.faster([a], "a", "b", 1.0)
  assert not result.smaller([a], "b", "a", 1.0)


@pytest.fixture
def small():
  curve = result.Curve("ours", [10.0, 100.0], [1.0, 2.0])
  return result.Result(
    "Small",
    {"data": "none"},
    "things/s",
    groups=[[made_score("a", [1.0]), made_score("b", [2.0])]],
    targets=[result.Target("a / b", 0.5, 1.0)],
    plots=[result.Plot("products", "seconds", [curve])],
  )


def test_parts_are_added_to_one_file(tmp_path, small):
  path = tmp_path / "benchmark.json"
  report.keep(path, "one", small, {"cpu": "x"})
  report.keep(path, "two", small, {"cpu": "y"})
  report.keep(path, "one", small, report.conditions())
  found = json.loads(path.read_text())["parts"]
  assert found.keys() == {"one", "two"}
  assert found["two"]["measured"] == {"cpu": "y"}
  assert found["one"]["measured"]["versions"]["commit"]
  assert found["one"]["groups"][0][1]["turns"] == [{"seconds": 1.0, "work": 2}]
  (target,) = found["one"]["targets"]
  assert target["met"] is False
  assert target["lowest"] is None  # not a number


@pytest.mark.parametrize("text", ["[]", "{", '{"other": 1}'])
def test_another_file_is_not_overwritten(tmp_path, small, text):
  path = tmp_path / "benchmark.json"
  path.write_text(text)
  with pytest.raises(UserError, match="not readable"):
    report.keep(path, "one", small, {})
  assert path.read_text() == text


def test_tables_and_picture(tmp_path, small):
  console = Console(width=120, record=True)
  report.show(console, small)
  text = console.export_text()
  for word in ("things/s", "0.50 to 2.00", "NOT MET", "at least 1", "products"):
    assert word in text
  report.draw(tmp_path / "small.png", small)
  assert (tmp_path / "small.png").read_bytes().startswith(b"\x89PNG")


def test_every_part_is_there():
  assert set(parts.NAMES) < set(parts.PARTS.names)
  for name in parts.PARTS.names:
    assert callable(parts.PARTS[name])


def test_the_command_knows_its_parts(tmp_path):
  done = subprocess.run(
    [
      *(sys.executable, "-m", "experiments.benchmark"),
      *(f"--workdir={tmp_path}", "--parts=trainin"),
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.returncode == 2
  assert done.stderr.startswith("ERROR: --parts: found 'trainin'")
  assert "use 'training'" in done.stderr


def test_padded_slices():
  values = np.array([5, 6, 7, 8], np.int32)
  rows = events.padded(values, np.array([0, 2]), np.array([2, 3]), 3)
  assert rows.tolist() == [[5, 6, -1], [7, -1, -1]]


@pytest.fixture(scope="module")
def data():
  return subject.made_up(people=30, items=40, events=9)


@pytest.fixture(scope="module")
def read(data, tmp_path_factory):
  path = subject.write_events(data, tmp_path_factory.mktemp("events"))
  return events.Events.read(path)


def test_an_update_of_ours_asks_as_much_as_one_of_the_peers(data, read):
  settings = subject.settings("")
  _, targets = read.training(50)
  asked = (targets >= 0).sum()
  assert asked == 30 * 8  # a first event is no question
  rows = subject.fair_rows(settings, data)
  slots = rows * settings.pipeline.row_length
  assert slots == pytest.approx(subject.PEOPLE * asked / 30, rel=0.1)


def test_peers_read_the_newest_events(data, read):
  ids, targets = read.training(4)
  first = data.events.items[:9].tolist()
  assert ids[0].tolist() == first[4:8]
  assert targets[0].tolist() == first[5:9]


def test_the_project_takes_turns_with_its_own_loop():
  run = ours.training(
    made_up={"people": 30, "items": 40, "events": 9},
    pipeline__batch_rows=8,
    model__width=8,
    model__hidden=8,
    model__layers=1,
    train__log_every=2,
  )
  turns = [run(1), run(2), run(1)]
  assert [turn["steps"] for turn in turns] == [2, 4, 2]
  assert all(turn["work"] > turn["steps"] for turn in turns)
  assert turns[-1]["loss"] < np.log(40) + 0.1


def test_a_loop_that_fails_is_heard():
  def fails(gate):
    gate.begin(0)
    raise UserError("config", "wrong")

  with pytest.raises(UserError, match="wrong"):
    ours._Gate(fails).pass_one()


def test_only_equal_answers_are_compared():
  a, b = made_score("tagrec_jax", [1]), made_score("PyTorch trimmed", [1])
  for score in (a, b):
    score.turns[0].update({"recall@20": 0.1, "ndcg@20": 0.05})
  evaluation.check_agreement([a, b])
  b.turns[0]["ndcg@20"] = 0.06
  with pytest.raises(Exception, match="ndcg@20"):
    evaluation.check_agreement([a, b])


def test_recbole_gets_every_event(read, tmp_path):
  evaluation.write_recbole(read, tmp_path)
  lines = (tmp_path / "events" / "events.inter").read_text().splitlines()
  assert lines[0] == "user_id:token\titem_id:token\ttimestamp:float"
  assert len(lines) == 1 + 30 * 9
  assert lines[10] == f"1\t{read.items[9]}\t9"


@pytest.mark.parametrize("k", [1, 7])
def test_searches_find_the_same(k, monkeypatch):
  monkeypatch.setattr(search, "BLOCK", 100)
  size = {"queries": 5, "products": 333, "width": 8, "k": k}
  query_BD, vectors_CD = search.draw(5, 333, 8)
  best = np.argsort(-(query_BD @ vectors_CD.T), axis=1)[:, :k]
  for make in (search.by_numpy, ours.retrieval):
    assert make(**size)(2) == {"work": 10, "found": best.sum()}


def test_drawn_texts_differ_in_length():
  texts = drawn_texts.draw(50, 20)
  lengths = [len(text.split()) for text in texts]
  assert 3 <= min(lengths) < max(lengths) <= 20
  assert texts == drawn_texts.draw(50, 20)
  vectors = np.arange(8.0).reshape(2, 4)
  assert drawn_texts.checksum(vectors) != drawn_texts.checksum(vectors[::-1])


def test_text_encoders_are_compared_only_if_they_are_equal(tmp_path):
  with pytest.raises(UserError, match="--pretrained"):
    text_encoding.run(Bench(tmp_path, "", 1))
  a, b = made_score("tagrec_jax", [1]), made_score("PyTorch", [1])
  a.turns[0]["found"], b.turns[0]["found"] = 0.5, 0.50001
  text_encoding.check_agreement([a, b])
  b.turns[0]["found"] = 0.51
  with pytest.raises(Exception, match="the same vectors"):
    text_encoding.check_agreement([a, b])


def test_ours_and_torch_are_one_model(data, read):
  """Equal parameters, no dropout: equal loss, padded, trimmed and packed."""
  torch = pytest.importorskip(
    "torch", reason="the extra [bench] is not installed"
  )
  from experiments.peers import torch_sasrec, torch_training

  settings = subject.settings("", model__dropout=0.0, pipeline__batch_rows=4)
  model = build.model(settings, data)
  params = model.init(named_key(0, "params"))
  # Large enough that a slip anywhere moves the loss.
  params = jax.tree.map(lambda leaf: leaf + 0.05 * jnp.sin(leaf * 99), params)
  batch = jax.tree.map(
    jnp.asarray, build.train_batches(settings, data, (0, 1))(0)
  )
  loss = model.losses(params, batch, named_key(0, "step"))["items"]
  assert loss.weight == 30 * 8

  peer = torch_sasrec.SASRec(data.spec.num_items)
  torch_sasrec.load(peer, named_leaves(params))
  peer.eval()
  ids, targets = map(torch.from_numpy, read.training(50))
  for of_rows in (torch_training.padded_loss, torch_training.trimmed_loss):
    value, asked = of_rows(peer, ids, targets)
    assert asked == 30 * 8
    assert float(value.detach()) == pytest.approx(float(loss.mean()), abs=1e-4)


def test_bench_names_its_folders(tmp_path):
  assert Bench(tmp_path, "", 3).data.parent == tmp_path
