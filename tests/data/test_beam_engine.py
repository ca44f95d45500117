"""Shards that Beam's workers write are those that are written without it."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data import store
from tagrec_jax.data.beam_engine import Beam
from tests.data.stored import assert_same, small

LOCAL = "--runner=DirectRunner"
PROCESSES = "--direct_running_mode=multi_processing --direct_num_workers=2"


@pytest.fixture
def beam() -> Beam:
  pytest.importorskip(
    "apache_beam",
    reason="needs an environment without .ci/requirements.lock: python -m venv"
    " beam; beam/bin/pip install -e '.[beam,test]'; beam/bin/python -m pytest"
    " -n0 -m nightly tests/data/test_beam_engine.py",
  )
  return Beam.of([LOCAL])


def sums(folder: pathlib.Path) -> str:
  """Names and sums of all files, which are checked."""
  store.read(folder)
  return (folder / "SHA256SUMS").read_text()


def test_without_beam(monkeypatch):
  monkeypatch.setitem(sys.modules, "apache_beam", None)
  with pytest.raises(UserError, match=r"not installed.*\[beam\]") as error:
    Beam.of([LOCAL])
  assert "\n" not in str(error.value)


def test_bytes_do_not_depend_on_the_process(tmp_path):
  """Else two processes would write other bytes: a map of protobuf has its
  entries in the order of a table that every process mixes anew."""
  from array_record.python.array_record_module import ArrayRecordReader
  from tensorflow_datasets.proto import tf_example_pb2

  store.write(small(), tmp_path / "data")
  (path,) = (tmp_path / "data").rglob("catalogue/**/*array_record*")
  (record,) = ArrayRecordReader(str(path)).read_all()
  example = tf_example_pb2.Example.FromString(record)
  assert len(example.features.feature) > 10
  assert example.SerializeToString(deterministic=True) == record


@pytest.mark.nightly
def test_the_same_files(beam, tmp_path, monkeypatch):
  """Of every kind of feature."""
  from tagrec_jax.data import builder

  monkeypatch.setattr(builder, "BLOCK_ROWS", 1)
  monkeypatch.setattr(builder, "SHARD_BLOCKS", 2)
  store.write(small(), tmp_path / "here")
  store.write(small(), tmp_path / "workers", beam=beam)
  assert sums(tmp_path / "workers") == sums(tmp_path / "here")
  assert "rows.array_record-00001-of-00002" in sums(tmp_path / "here")
  assert_same(store.read(tmp_path / "workers"), small())


@pytest.mark.nightly
@pytest.mark.usefixtures("beam")
def test_the_same_files_by_the_command_and_other_processes(tmp_path):
  for name, options in ("here", ""), ("workers", f"{LOCAL} {PROCESSES}"):
    subprocess.run(
      [
        *(sys.executable, "-m", "experiments.prepare"),
        "--config=configs/storefront.py:tiny",
        f"--config.data.cache_dir={tmp_path / name}",
        "--config.data.shop_people=70000",  # more than a shard has
        "--config.data.shop_events=5",
        f"--beam_options={options}",
      ],
      check=True,
    )
  here, workers = tmp_path.glob("*/prepared/*/*")
  assert here.name == workers.name
  assert sums(here) == sums(workers)
  assert "rows.array_record-00001-of-00002" in sums(here)


@pytest.mark.nightly
@pytest.mark.parametrize(
  "option", ["--direct_num_workers=two", "--runner=NoSuchRunner"]
)
@pytest.mark.usefixtures("beam")
def test_wrong_options(option):
  with pytest.raises(UserError, match=r"two'|NoSuchRunner") as error:
    Beam.of([option])
  assert "\n" not in str(error.value)


@pytest.mark.nightly
def test_what_failed_leaves_nothing(beam, tmp_path):
  shard = (tmp_path / "shard", range(1))
  with pytest.raises(UserError, match="FileNotFoundError") as error:
    beam.write(_write_nothing, {}, [shard], tmp_path / "columns")
  assert "\n" not in str(error.value)
  assert not list(tmp_path.iterdir())


def _write_nothing(columns, shard) -> None:
  """As a worker of another disk."""
