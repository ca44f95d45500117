from __future__ import annotations

import json
import struct

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.training.plot import plot_curves
from tagrec_jax.training.writers import (
  JsonLines,
  TensorBoard,
  Writers,
  read_rows,
)


def test_rows_come_back(tmp_path):
  path = tmp_path / "metrics.jsonl"
  writer = JsonLines(path)
  writer.begin(0)
  writer.write(5, {"loss": 1.5, "bad": float("nan")})
  writer.close()
  assert read_rows(path) == [{"step": 5, "loss": 1.5, "bad": None}]


def test_a_resumed_run_drops_what_is_void(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_text(
    '{"step": 5, "loss": 2.0}\n{"step": 6, "valid": null}\n'
    '{"step": 8, "steps_per_second": 4.0}\n{"step": 9, "loss": 1.0}\n'
    '{"step": 13, "steps_per_second": 10.0}\n[1]\n{"step": 4, "lo'
  )
  writer = JsonLines(path)
  writer.begin(6)
  assert writer.lost == 2 / 4 + 5 / 10
  assert Writers([writer]).lost == 1.0
  writer.write(7, {"loss": 0.5})
  writer.close()
  assert [json.loads(line) for line in path.read_text().splitlines()] == [
    {"step": 5, "loss": 2.0},
    {"step": 6, "valid": None},
    {"step": 7, "loss": 0.5},
  ]


def events_in(path):
  """The events of a TFRecord file: length, its crc, data, crc."""
  from tensorboardX.proto import event_pb2

  data, found = path.read_bytes(), []
  while data:
    (size,) = struct.unpack("<Q", data[:8])
    found.append(event_pb2.Event.FromString(data[12 : 12 + size]))
    data = data[16 + size :]
  return found


def test_tensorboard_events(tmp_path):
  for start in (0, 20):  # a quick restart gets a file of its own
    board = TensorBoard(tmp_path)
    board.begin(start)
    board.write(start + 10, {"loss": 1.5})
    board.close()
  first, second = sorted(tmp_path.iterdir())
  header, begin, value = events_in(first)
  assert header.file_version == "brain.Event:2"
  assert (begin.step, begin.session_log.status) == (1, 1)
  assert (value.step, value.summary.value[0].tag) == (10, "loss")
  assert value.summary.value[0].simple_value == 1.5
  assert events_in(second)[1].step == 21


def test_a_full_disk_is_told_once(capsys):
  class Good:
    def __init__(self):
      self.steps = []

    def begin(self, step):
      assert step == 0

    def write(self, step, values):
      self.steps.append((step, values))

    def close(self):
      pass

  class Full(Good):
    def write(self, step, values):
      super().write(step, values)
      raise OSError(28, "No space left on device")

  full, good = Full(), Good()
  writers = Writers([full, good])
  writers.begin(0)
  for step in range(3):
    writers.write(step, {})
  writers.close()
  assert (len(full.steps), len(good.steps)) == (1, 3)
  assert capsys.readouterr().err == (
    "WARN Full: metrics are no longer written (No space left on device);"
    " the run goes on\n"
  )


def test_a_full_disk_under_json_lines(tmp_path, capsys):
  path = tmp_path / "metrics.jsonl"
  writer = JsonLines(path)
  writers = Writers([writer])
  writers.begin(0)
  writer._file = open("/dev/full", "w")  # noqa: SIM115
  writers.write(1, {"loss": 1.0})
  writers.write(2, {"loss": 1.0})
  assert capsys.readouterr().err.count("WARN JsonLines") == 1


def test_curves(tmp_path):
  metrics = tmp_path / "metrics.jsonl"
  writer = JsonLines(metrics)
  writer.begin(0)
  for step in (5, 10):
    writer.write(step, {"loss": 10.0 / step})
  writer.write(10, {"valid/ndcg@10": 0.1})
  writer.close()
  plot_curves(metrics, tmp_path / "curves.png", "ndcg@10")
  assert (tmp_path / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
  assert (tmp_path / "curves.png").stat().st_size > 5000


def test_no_curves_without_metrics(tmp_path):
  with pytest.raises(UserError, match="no metrics"):
    plot_curves(tmp_path / "none.jsonl", tmp_path / "curves.png", "ndcg@10")
