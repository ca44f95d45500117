"""The shop of the README: from two CSV files to a ranked list, as a user."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Commands compile more than they compute.
QUICK = (
  "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


def command(module, *flags, cwd, **changes):
  """Runs `python -m experiments.<module>` on one CPU device."""
  environment = os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": QUICK}
  return subprocess.run(
    [sys.executable, "-m", f"experiments.{module}", *flags],
    cwd=cwd,
    env=environment | changes,
    capture_output=True,
    text=True,
    timeout=240,
    check=False,
  )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
  """A folder in which the README's example was run, word for word."""
  cwd = tmp_path_factory.mktemp("shop")
  blocks = re.findall(
    r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
  )
  (example,) = (block for block in blocks if "mkdir -p shop" in block)
  script = example.replace("python -m", f"{sys.executable} -m")
  (cwd / "configs").symlink_to(ROOT / "configs")
  done = subprocess.run(
    ["bash", "-euc", script],
    cwd=cwd,
    env=os.environ
    | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": QUICK, "HOME": str(cwd)},
    capture_output=True,
    text=True,
    timeout=240,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  (cwd / "stdout").write_text(done.stdout)
  return cwd


def ask(shop, *flags):
  done = command(
    "recommend", "--workdir=runs/shop", *flags, cwd=shop, HOME=str(shop)
  )
  assert done.returncode == 0, done.stderr
  return [json.loads(line) for line in done.stdout.splitlines()]


def test_training_leaves_tables_curves_and_reports(shop):
  printed = (shop / "stdout").read_text()
  for words in (
    "popularity",
    "markov",
    "tagrec_jax",
    "Learning curve",
    "Go on",
  ):
    assert words in printed
  run = shop / "runs/shop"
  assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
  report = json.loads(
    (run / "evaluation/test-strict-items-tagrec_jax.json").read_text()
  )
  assert report["people"]["people"] == 3
  assert report["passport"]["split"] == "leave_one_out, test"
  assert json.loads((run / "config.json").read_text())["name"] == "folder"


def test_answers_for_a_known_person(shop):
  (answer,) = ask(shop, "--person=ann", "--targets=items,tags", "--top_k=2")
  assert answer["history"] == ["Walnut desk", "Desk lamp", "Oak chair"]
  seen = set(answer["history"])
  assert not seen & {item["title"] for item in answer["items"]}
  assert len(answer["tags"]) == 2


def test_answers_for_a_stranger_and_for_nobody(shop):
  history = shop / "history.jsonl"
  history.write_text('{"title": "desk LAMP"}\n{"id": "no such"}\n')
  requests = shop / "requests.jsonl"
  requests.write_text('{"person": "bob"}\n{"history": []}\n')
  (stranger,) = ask(shop, "--history=history.jsonl", "--noexclude_seen")
  assert stranger["history"] == ["Desk lamp"]
  assert stranger["unknown"] == ["no such"]
  bob, nobody = ask(shop, "--requests=requests.jsonl", "--top_k=1")
  assert bob["person"] == "bob"
  assert nobody["history"] == []
  assert len(nobody["items"]) == 1


def test_evaluate_measures_under_two_protocols(shop):
  done = command(
    "evaluate",
    "--workdir=runs/shop",
    "--protocols=strict,as_s3rec",
    cwd=shop,
    HOME=str(shop),
  )
  assert done.returncode == 0, done.stderr
  for protocol in ("strict", "as_s3rec"):
    report = f"runs/shop/evaluation/test-{protocol}-items-tagrec_jax.json"
    assert (
      json.loads((shop / report).read_text())["passport"]["protocol"]
      == protocol
    )


@pytest.mark.parametrize(
  ("module", "flags", "message"),
  [
    ("recommend", ["--workdir=runs/shop", "--person=zoe"], "'zoe' is not in"),
    ("recommend", ["--workdir=runs/shop", "--targets=hats"], "items, tags"),
    ("recommend", ["--workdir=nowhere"], "nowhere/config.json: cannot be read"),
    ("evaluate", ["--workdir=runs/shop", "--protocols=strct"], "use 'strict'"),
    ("evaluate", ["--workdir=runs/shop", "--checkpoint=7"], "no checkpoint of"),
    (
      "train",
      ["--config=configs/nothing.py", "--workdir=w"],
      "No such file or directory",
    ),
    (
      "train",
      ["--config=configs/folder.py", "--workdir=w", "--config.seed=x"],
      "config.seed=x",
    ),
    ("train", ["--workdir=w"], "--config"),
  ],
)
def test_a_mistake_is_one_line_and_exit_code_2(shop, module, flags, message):
  done = command(module, *flags, cwd=shop, HOME=str(shop))
  assert done.returncode == 2, done.stderr
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith("ERROR: ")
  assert message in last
