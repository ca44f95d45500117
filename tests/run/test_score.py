"""Lists for everybody: the same however often the work was stopped."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import jax
import pyarrow.parquet as pq
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.run import trained
from tagrec_jax.run.recommend import recommend
from tagrec_jax.run.score import score
from tests.compat import test_formats

ROOT = pathlib.Path(__file__).resolve().parents[2]
OLD = pathlib.Path(test_formats.__file__).parent / "format_1"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A trained run, from a folder of the repository."""
  folder = tmp_path_factory.mktemp("run")
  shutil.copytree(OLD, folder / "old")
  config = folder / "old" / "run" / "config.json"
  written = json.loads(config.read_text())
  written["data"]["folder"] = str(folder / "old" / "shop")
  written["data"]["cache_dir"] = str(folder / "cache")
  config.write_text(json.dumps(written))
  return folder / "old" / "run"


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
  folder = tmp_path_factory.mktemp("whole") / "lists"
  score(str(run), str(folder), targets=("items", "tags"), shard_people=3)
  return folder


def lines(folder):
  return [
    json.loads(line)
    for path in sorted(folder.glob("lists-*.jsonl"))
    for line in path.read_text().splitlines()
  ]


def contents(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir()}


def near(found, wanted):
  """Equal lists; scores may differ in what is rounded."""
  for one, other in zip(found, wanted, strict=True):
    assert one["person"] == other["person"]
    for target, key in (("items", "id"), ("tags", "tag")):
      pairs = zip(one[target], other[target], strict=True)
      for entry, wanted_entry in pairs:
        assert entry[key] == wanted_entry[key]
        assert entry["score"] == pytest.approx(wanted_entry["score"], abs=2e-4)


def test_everybody_gets_what_recommend_says(run, whole, tmp_path, capsys):
  found = lines(whole)
  people = trained.load(str(run)).dataset.people.ids
  assert [answer["person"] for answer in found] == list(people)
  requests = tmp_path / "requests.jsonl"
  asked = [json.dumps({"person": person}) + "\n" for person in people]
  requests.write_text("".join(asked))
  recommend(str(run), requests=str(requests), targets=("items", "tags"))
  told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
  near(found, told)


def test_the_manifest_tells_what_is_there(whole):
  manifest = json.loads((whole / "manifest.json").read_text())
  counts = [shard["people"] for shard in manifest["shards"]]
  assert sum(counts) == manifest["people"] == len(lines(whole))
  assert set(counts[:-1]) == {3}
  assert len({shard["sha256"] for shard in manifest["shards"]}) == len(counts)


def test_only_what_is_missing_is_written(run, whole, tmp_path):
  folder = tmp_path / "lists"
  shutil.copytree(whole, folder)
  kept, lost, *_ = sorted(folder.glob("lists-*"))
  lost.unlink()
  (folder / "manifest.json").unlink()
  kept.write_text("kept")
  score(str(run), str(folder), targets=("items", "tags"), shard_people=3)
  assert kept.read_text() == "kept"
  assert lost.read_bytes() == (whole / lost.name).read_bytes()
  assert (folder / "manifest.json").exists()


def test_another_job_is_refused(run, whole):
  with pytest.raises(UserError, match="another job, with top_k=10, expected 5"):
    score(
      str(run), str(whole), targets=("items", "tags"), shard_people=3, top_k=5
    )


def test_one_device_writes_the_same(run, whole, tmp_path, monkeypatch):
  monkeypatch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
  targets = ("items", "tags")
  folder, form = str(tmp_path / "lists"), "parquet"
  score(str(run), folder, targets=targets, shard_people=9, form=form)
  rows = [
    row
    for path in sorted((tmp_path / "lists").glob("*.parquet"))
    for row in pq.read_table(path).to_pylist()
  ]
  found = [
    {
      "person": row["person"],
      **{
        target: [
          {key: name, "score": value}
          for name, value in zip(
            row[target], row[f"{target}_scores"], strict=True
          )
        ]
        for target, key in (("items", "id"), ("tags", "tag"))
      },
    }
    for row in rows
  ]
  near(found, lines(whole))


@pytest.mark.nightly  # two starts of a command
def test_killed_in_the_middle_it_ends_the_same(run, whole, tmp_path):
  def start():
    return subprocess.Popen(
      [
        *(sys.executable, "-m", "experiments.score", f"--workdir={run}"),
        *(f"--output={tmp_path}/lists", "--targets=items,tags"),
        "--shard_people=3",
      ],
      cwd=ROOT,
      env=os.environ,
      stderr=subprocess.PIPE,
    )

  with start() as process:
    until = time.monotonic() + 100
    # The first file is there; others are not, unless this sleeps too long.
    while not list(tmp_path.glob("lists/lists-*.jsonl")):
      assert time.monotonic() < until
      assert process.poll() is None, process.stderr.read()
      time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
  (tmp_path / "lists" / "lists-00003-of-00004.jsonl.1.part").write_text("{")
  with start() as process:
    _, err = process.communicate(timeout=100)
  assert process.returncode == 0, err
  assert b"have their lists already" in err
  assert contents(tmp_path / "lists") == contents(whole)
