"""Tables: what stands in them, and what refuses to stand side by side."""

from __future__ import annotations

import numpy as np
import pytest
import rich.console

from tagrec_jax.evaluation import table
from tagrec_jax.evaluation.report import Report
from tagrec_jax.evaluation.slices import Slice


def report(recall, protocol="strict", people=22363):
  return Report(
    metrics={"recall@10": recall, "coverage@10": 1.0},
    intervals={"recall@10": (recall - 0.01, recall + 0.01)},
    people={"people": people, "unknown_targets": 52, "repeats": 0},
    slices=(
      Slice("target popularity", "head", 20, {"recall@10": 0.25}),
      Slice("history length", "1-2", 1000, {"recall@10": 0.125}),
    ),
    passport={"protocol": protocol, "catalogue": 12101},
    ranks_PM=np.ones((1, 1), np.int32),
  )


def text(shown):
  console = rich.console.Console(width=120)
  with console.capture() as capture:
    console.print(shown)
  return capture.get()


REPORTS = {"popularity": report(0.0115), "ours": report(0.0921)}


def test_markdown():
  assert table.markdown(REPORTS, ours="ours") == (
    "| model | recall@10 | coverage@10 |\n"
    "| --- | ---: | ---: |\n"
    "| popularity | .0115 | 1.0000 |\n"
    "| ours | .0921 [.0821, .1021] | 1.0000 |\n"
    "\n"
    "22,363 people, 12,101 candidates, protocol strict, 52 unknown targets\n"
  )


def test_chosen_metrics_and_mixed_protocols():
  mixed = {"a": report(0.1), "b": report(0.2, "as_s3rec")}
  assert table.markdown(mixed, names=("recall@10",)) == (
    "| model | protocol | recall@10 |\n"
    "| --- | ---: | ---: |\n"
    "| a | strict | .1000 |\n"
    "| b | as_s3rec | .2000 |\n"
    "\n"
    "22,363 people, 12,101 candidates, 52 unknown targets\n"
  )


def test_terminal():
  shown = text(table.compare(REPORTS, ours="ours"))
  for part in ("popularity", ".0115", ".0921 [.0821, .1021]", "52 unknown"):
    assert part in shown


def test_other_people_do_not_stand_in_one_table():
  with pytest.raises(ValueError, match="different"):
    table.compare({"a": report(0.1), "b": report(0.1, people=5)})


def test_slices():
  shown = text(table.slices_table(report(0.1)))
  for part in ("target popularity: head", "history length: 1-2", "1,000"):
    assert part in shown
  assert shown.index(".2500") < shown.index(".1250")
