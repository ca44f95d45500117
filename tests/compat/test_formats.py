"""Runs of older formats answer as they did on the day they were written.

Each folder holds a run as it was left: `shop/` that it read, `run/`, and
`answer.jsonl`, what the code of that day recommended. format_1: written on
2026-11-24 by commit ec16385.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil

import pytest

from configs import base
from tagrec_jax import build
from tagrec_jax.checkpoint import manifest, reader
from tagrec_jax.checkpoint.migrate import FORMAT, migrated
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.recorded import LATER, complete
from tagrec_jax.run.recommend import recommend
from tagrec_jax.run.train import train
from tagrec_jax.run.trained import read_settings
from tagrec_jax.training.run_folder import RunFolder

HERE = pathlib.Path(__file__).parent
FORMATS = sorted(path.name for path in HERE.glob("format_*"))


@pytest.fixture(params=FORMATS)
def old(request, tmp_path):
  """A copy of an old run that finds its data."""
  shutil.copytree(HERE / request.param, tmp_path / "old")
  config = tmp_path / "old" / "run" / "config.json"
  written = json.loads(config.read_text())
  written["data"]["folder"] = str(tmp_path / "old" / "shop")
  written["data"]["cache_dir"] = str(tmp_path / "cache")
  config.write_text(json.dumps(written))
  return tmp_path / "old"


@pytest.mark.case(20)
def test_an_old_run_answers_as_it_did(old, capsys):
  recommend(str(old / "run"), person="p3", targets=("items", "tags"), top_k="5")
  answer = json.loads(capsys.readouterr().out)
  wanted = json.loads((old / "answer.jsonl").read_text())
  for target in ("items", "tags"):
    for found, one in zip(answer[target], wanted[target], strict=True):
      assert found["score"] == pytest.approx(one.pop("score"), abs=2e-4)
      assert {key: found[key] for key in one} == one


@pytest.mark.case(20)
def test_training_goes_on_from_it_once_the_data_are_accepted(old, capsys):
  settings = read_settings(RunFolder(old / "run"))
  longer = dataclasses.replace(settings.train, steps=6, log_every=1)
  settings = dataclasses.replace(settings, train=longer)
  with pytest.raises(UserError, match="the data's fingerprint was") as error:
    train(settings, str(old / "run"))
  assert "config." not in str(error.value)  # only the data are others
  rows = dataclasses.replace(settings.pipeline, batch_rows=8)  # for 8 devices
  settings = dataclasses.replace(settings, pipeline=rows)
  outcome = train(settings, str(old / "run"), allow_changes=True)
  assert outcome.result.ending == "finished"
  said = capsys.readouterr().err
  assert "going on although config.pipeline.batch_rows was 2 and is 8" in said
  assert "going on from the checkpoint of step 4" in said


@pytest.mark.case(20)
def test_nothing_of_it_is_changed(old):
  path = old / "run" / "checkpoints" / "4"
  meta = reader.load_meta(path)
  assert meta["format"] == FORMAT
  assert meta["stored"]["params.events.special"] == "params.products.special"
  assert manifest.find_fault(path) == ""


def test_what_is_of_today_stays():
  meta = {
    "format": 1,
    "config": {"model": {"product": ["id", "tags"]}},
    "tree": {"params.products.content.0.embed.table": "float32[2,2]"},
  }
  assert migrated(meta)["tree"] == meta["tree"]
  assert migrated(meta)["stored"] == {}


@pytest.mark.parametrize("name", FORMATS)
def test_each_later_key_has_a_value_for_older_configs(name):
  """A new key: say in core/recorded.py what stands for not having it."""
  written = json.loads((HERE / name / "run" / "config.json").read_text())
  today = base.get_config().to_dict()
  for section, values in today.items():
    if isinstance(values, dict):
      lacks = values.keys() - written[section].keys()
      assert lacks <= LATER.get(section, {}).keys(), section
      assert LATER.get(section, {}).keys() <= values.keys(), section
  assert build.settings(complete(written))
