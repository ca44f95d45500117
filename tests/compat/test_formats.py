"""Runs of older formats answer as they did on the day they were written.

Each folder holds a run as it was left: `shop/` that it read, `run/`, and
`answer.jsonl`, what the code of that day recommended. format_1: written on
2026-11-24 by commit ec16385. A folder without an answer is refused today.
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
from tagrec_jax.checkpoint.meta import Identity, check_identity
from tagrec_jax.checkpoint.migrate import FORMAT, migrated
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.recorded import LATER, complete
from tagrec_jax.data.fingerprint import parts
from tagrec_jax.run.recommend import recommend
from tagrec_jax.run.train import train
from tagrec_jax.run.trained import read_settings
from tagrec_jax.training.run_folder import RunFolder
from tests.data.made import make_dataset

HERE = pathlib.Path(__file__).parent
FORMATS = sorted(path.parent.name for path in HERE.glob("*/answer.jsonl"))


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


def test_an_old_run_answers_as_it_did(old, capsys):
  recommend(str(old / "run"), person="p3", targets=("items", "tags"), top_k="5")
  answer = json.loads(capsys.readouterr().out)
  wanted = json.loads((old / "answer.jsonl").read_text())
  for target in ("items", "tags"):
    for found, one in zip(answer[target], wanted[target], strict=True):
      assert found["score"] == pytest.approx(one.pop("score"), abs=2e-4)
      assert {key: found[key] for key in one} == one


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


def test_nothing_of_it_is_changed(old):
  path = old / "run" / "checkpoints" / "4"
  meta = reader.load_meta(path)
  assert meta["stored"]["params.events.special"] == "params.products.special"
  assert manifest.find_fault(path) == ""


def test_what_changed_in_the_data_is_told():
  data = make_dataset([4, 5])
  other = dataclasses.replace(data, train_ends=data.train_ends - 1)
  longer = make_dataset([4, 6])
  before, after = (
    Identity({}, {}, name, (), {}, parts(of))
    for name, of in (("one", data), ("two", longer))
  )
  meta = migrated({"format": FORMAT, **before.plain()})
  with pytest.raises(UserError) as error:
    check_identity(meta, after, "checkpoint of step 4")
  assert "events of the data were 9 (" in str(error.value)
  assert " and are 10 (" in str(error.value)
  assert "--allow_changes" in str(error.value)
  assert parts(data).keys() == parts(other).keys()
  differ = [
    name for name in parts(data) if parts(data)[name] != parts(other)[name]
  ]
  assert differ == ["splits"]


def test_what_would_mean_something_else_is_refused():
  folder = HERE / "format_1_content" / "run" / "checkpoints"
  with pytest.raises(UserError) as error:
    reader.read_meta(folder, 4)
  assert str(error.value).startswith(
    "checkpoint of step 4: written in format 1, when params.products.content."
  )
  assert "was used otherwise, expected format 2" in str(error.value)


def test_what_is_of_today_stays():
  meta = {
    "format": 1,
    "config": {"model": {"product": ["id", "ngrams"]}},
    "tree": {"params.products.content.0.rows": "float32[2,2]"},
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
