"""SIGTERM while a run does something else than training steps."""

from __future__ import annotations

import os
import signal

import pytest

from configs import storefront
from tagrec_jax import build
from tagrec_jax.core import interrupt
from tagrec_jax.core.errors import one_line
from tagrec_jax.data import prepare, store
from tagrec_jax.data.sources.storefront import Storefront
from tagrec_jax.run import train as run
from tagrec_jax.run.measure import Measure
from tagrec_jax.training.parallel import JitBackend


@pytest.fixture
def settings(tmp_path):
  config = storefront.get_config("tiny")
  config.data.cache_dir = str(tmp_path / "cache")
  config.data.shop_people = 64
  config.data.shop_items = 40
  config.train.steps = 6
  config.train.log_every = config.train.evaluate_every = 3
  config.checkpoint.save_every = 3
  config.evaluation.bootstrap_samples = 0
  config.evaluation.baselines = ()
  return build.settings(config.to_dict())


def asking(call, number):
  """The function, and in its call of this number, counted from 1, SIGTERM."""
  calls = []

  def wrapped(*args, **kwargs):
    calls.append(1)
    if len(calls) == number:
      os.kill(os.getpid(), signal.SIGTERM)
    return call(*args, **kwargs)

  return wrapped


@pytest.fixture
def train(settings, tmp_path):
  def go():
    with interrupt.raised():
      return run.train(settings, str(tmp_path / "run"))

  return go


def reading(self, read=Storefront.read):
  for number, record in enumerate(read(self)):
    if number == 100:
      os.kill(os.getpid(), signal.SIGTERM)
    yield record


@pytest.mark.parametrize(
  ("place", "name", "broken"),
  [
    (Storefront, "read", reading),
    (prepare, "from_cleaned", asking(prepare.from_cleaned, 1)),
    (store, "_write_large", asking(store._write_large, 1)),
    (store, "_publish", asking(store._publish, 1)),
  ],
)
def test_while_data_are_prepared(
  settings, train, monkeypatch, tmp_path, capsys, place, name, broken
):
  with monkeypatch.context() as patch:
    patch.setattr(place, name, broken)
    outcome = train()
  assert outcome.result is None
  assert "SIGTERM: nothing is lost; the same command goes" in (
    capsys.readouterr().err
  )
  assert not list((tmp_path / "cache" / "prepared").glob("*/*"))
  assert build.dataset(settings).name == "storefront"


@pytest.mark.nightly
def test_while_the_first_step_is_compiled(train, monkeypatch, tmp_path):
  with monkeypatch.context() as patch:
    patch.setattr(JitBackend, "train_steps", asking(JitBackend.train_steps, 1))
    outcome = train()
  assert (outcome.result.ending, outcome.result.step) == ("interrupted", 1)
  assert (tmp_path / "run" / "checkpoints" / "1" / "manifest.json").exists()


@pytest.mark.nightly
def test_while_valid_is_asked(train, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(Measure, "one", asking(Measure.one, 1))
    outcome = train()
  assert (outcome.result.ending, outcome.result.step) == ("interrupted", 3)
  assert train().result.ending == "finished"


@pytest.mark.nightly
def test_while_the_end_is_measured(train, monkeypatch, tmp_path):
  with monkeypatch.context() as patch:
    patch.setattr(Measure, "all", asking(Measure.all, 2))
    outcome = train()
  assert outcome.result is None
  assert (tmp_path / "run" / "checkpoints" / "6" / "manifest.json").exists()
  again = train()
  assert again.result.ending == "finished"
  assert set(again.reports) == {"valid", "test"}


def test_a_command_ends_in_one_line(capsys):
  @one_line
  def command():
    with interrupt.raised():
      os.kill(os.getpid(), signal.SIGINT)

  with pytest.raises(SystemExit) as ended:
    command()
  assert ended.value.code == 128 + signal.SIGINT
  assert capsys.readouterr().err == ("SIGINT: ended; nothing is half written\n")
