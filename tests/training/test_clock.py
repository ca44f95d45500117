from __future__ import annotations

import time

from tagrec_jax.training.clock import Clock
from tagrec_jax.training.progress import ProgressBar


def test_what_no_part_claims_is_training(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  clock = Clock()
  for name, seconds in (("compile", 3.0), ("data", 1.0), ("data", 1.0)):
    with clock.part(name):
      now[0] += seconds
  now[0] += 5.0
  assert clock.seconds() == {"train": 5.0, "compile": 3.0, "data": 2.0}
  assert clock.line() == (
    "goodput 50 %: train 5.0 s, compile 3.0 s, data 2.0 s"
  )


def test_what_an_earlier_process_lost_is_no_goodput(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  clock = Clock()
  clock.add("lost", 15.0)
  clock.add("nothing", 0.0)
  now[0] += 5.0
  assert clock.seconds() == {"train": 5.0, "lost": 15.0}
  assert clock.line() == "goodput 25 %: train 5.0 s, lost 15.0 s"


def test_what_was_trained_may_be_lost_later(monkeypatch):
  now = [100.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  clock = Clock()
  now[0] += 8.0
  clock.take("lost", 3.0)
  assert clock.seconds() == {"train": 5.0, "lost": 3.0}


def test_without_a_terminal_a_line_now_and_then(monkeypatch, capsys):
  now = [0.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  with ProgressBar(0, 100) as bar:
    for step in range(10, 101, 10):
      now[0] += 4.0
      bar.show(step, 2.5, 5.0)
  lines = capsys.readouterr().err.splitlines()
  assert lines[0] == "step 10/100  loss 2.5000  5.0 steps/s  18 s left"
  assert [line.split()[1] for line in lines] == [
    "10/100",
    "40/100",
    "70/100",
    "100/100",
  ]
