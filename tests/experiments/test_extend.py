"""Products and tags that come after training: from table to answers."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tagrec_jax.checkpoint import manifest, reader
from tagrec_jax.core import interrupt
from tagrec_jax.core.errors import TagrecError, UserError
from tagrec_jax.core.interrupt import Interrupted
from tagrec_jax.data.vocab import Vocabulary
from tagrec_jax.run import extend as run_extend
from tagrec_jax.run import trained
from tagrec_jax.run.extend import extend
from tagrec_jax.run.recommend import recommend
from tests.experiments.test_shop import QUICK

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = {
  "desk": "furniture",
  "lamp": "lighting",
  "chair": "furniture",
  "rug": "textile",
}
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 255, 0)}
SMALL = (
  *("--config.data.source=folder", "--config.data.folder=shop"),
  *("--config.data.cache_dir=cache", "--config.data.ngram_buckets=128"),
  *("--config.train.evaluate_every=4", "--config.checkpoint.save_every=4"),
  "--config.data.cold_items=0.15",
)
TAGGER = (
  "--config=configs/software.py:tiny",
  *SMALL,
  "--config.data.image_size=8",
  "--config.model.image=vit",
  "--config.model.product=('ngrams', 'numbers', 'room', 'image')",
  "--config.model.tag_vectors=both",
  "--config.model.modality_dropout=0.2",
)
RANKER = (
  "--config=configs/folder.py:tiny",
  *SMALL,
  "--config.data.min_person_events=3",
  "--config.model.product=('id', 'ngrams', 'numbers', 'room')",
)
NEW = (
  {
    "item_id": "n1",
    "title": "purple lamp",
    "tags": ["lighting", "colour::purple"],
    "price": 7,
    "image": "red.png",
  },
  {"item_id": "n2", "title": "blue rug", "set_room": ["hall"]},
  {"title": "has no id"},
)


def lines(path: pathlib.Path, rows) -> None:
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def command(cwd, module, *flags):
  return subprocess.run(
    [sys.executable, "-m", f"experiments.{module}", *flags],
    cwd=cwd,
    env=os.environ | {"PYTHONPATH": str(ROOT), "XLA_FLAGS": QUICK},
    capture_output=True,
    text=True,
    timeout=240,
    check=False,
  )


def done(cwd, module, *flags) -> str:
  run = command(cwd, module, *flags)
  assert run.returncode == 0, run.stderr
  return run.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory):
  """A folder with a shop: text, a price, sets, and some pictures."""
  home = tmp_path_factory.mktemp("home")
  (home / "configs").symlink_to(ROOT / "configs")
  shop = home / "shop"
  shop.mkdir()
  for colour, rgb in COLOURS.items():
    Image.new("RGB", (12, 9), rgb).save(shop / f"{colour}.png")
  items = []
  for number in range(40):
    colour = list(COLOURS)[number % 3]
    kind = list(KINDS)[number % 4]
    items.append(
      {
        "item_id": f"p{number:02}",
        "title": f"{colour} {kind} {number}",
        "tags": [KINDS[kind], f"kind::{kind}", f"colour::{colour}"],
        "price": 10 + number % 7,
        "set_room": ["hall", "den"][: 1 + number % 2],
        "image": f"{colour}.png" if number % 3 else "",
      }
    )
  lines(shop / "items.jsonl", items)
  random = np.random.default_rng(0)
  lines(
    shop / "events.jsonl",
    (
      {"user_id": f"u{person}", "item_id": f"p{item:02}", "timestamp": time}
      for person in range(24)
      for time, item in enumerate(random.permutation(40)[:8].tolist())
    ),
  )
  lines(shop / "new.jsonl", NEW)
  (shop / "tags.csv").write_text(
    "tag,description\ncolour::purple,between red and blue\n"
  )
  return home


@pytest.fixture(scope="module")
def tagger(home):
  """A run of the task 'tag_item', and one that knows a product and a tag."""
  done(
    home,
    "train",
    *TAGGER,
    "--config.train.steps=4",
    "--config.optimizer.warmup_steps=0",
    "--workdir=runs/tagger",
  )
  printed = done(
    home,
    "extend",
    *("--workdir=runs/tagger", "--output=runs/longer"),
    *("--items=shop/new.jsonl", "--tags=shop/tags.csv"),
  )
  assert "still new" in printed
  return home


@pytest.fixture(scope="module")
def ranker(home):
  """A run of the task 'next_item' that was extended by all there is."""
  done(
    home,
    "train",
    *RANKER,
    "--config.train.steps=4",
    "--config.optimizer.warmup_steps=0",
    "--workdir=runs/ranker",
  )
  done(
    home,
    "extend",
    *("--workdir=runs/ranker", "--output=runs/ranker-longer", "--promote"),
    *("--items=shop/new.jsonl", "--tags=shop/tags.csv"),
  )
  return home


def ask(home, workdir, *flags):
  flags = (f"--workdir=runs/{workdir}", *flags)
  return [json.loads(x) for x in done(home, "recommend", *flags).splitlines()]


def test_the_longer_run_has_rows_for_what_is_new(tagger, monkeypatch):
  monkeypatch.chdir(tagger)
  before, after = (trained.load(f"runs/{r}") for r in ("tagger", "longer"))
  ids = before.dataset.items.ids
  assert after.dataset.items == Vocabulary([*ids, "n1", "n2"])
  assert after.dataset.tags.ids[-1] == "colour::purple"
  assert after.step == before.step == 4
  np.testing.assert_array_equal(
    after.dataset.test_items, before.dataset.test_items + 2
  )
  assert not (tagger / "runs/tagger/additions.jsonl").exists()


def test_pictures_of_what_is_new_are_found_from_anywhere(tagger, monkeypatch):
  monkeypatch.chdir(tagger)
  dataset = trained.load("runs/longer").dataset
  assert dataset.product["image"][dataset.items.index("n1")].any()
  kept = (tagger / "runs/longer/additions.jsonl").read_text().splitlines()
  assert os.path.isabs(json.loads(kept[0])["item"]["image"])


def test_tags_of_products_in_sets_and_under_rules(tagger):
  asked = "--products=shop/new.jsonl"
  first, second = ask(tagger, "longer", asked, "--top_k=auto")
  assert (first["item"], second["title"]) == ("n1", "blue rug")
  scores = [tag["score"] for tag in first["tags"]]
  assert scores == sorted(scores, reverse=True)
  rules = "--allowed=kind::*,colour::purple", "--exclusive=kind::*"
  for answer in ask(tagger, "longer", asked, "--top_k=9", *rules):
    names = [tag["tag"] for tag in answer["tags"]]
    assert len(names) == 2
    assert "colour::purple" in names


@pytest.mark.parametrize(
  ("place", "whole"),
  [
    ((run_extend.additions, "write"), False),
    ((run_extend, "grow"), False),
    ((manifest, "write"), True),  # the last that is written, in a thread
  ],
  ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_signal_leaves_a_whole_run_or_none(
  tagger, monkeypatch, tmp_path, place, whole
):
  monkeypatch.chdir(tagger)
  longer = tmp_path / "longer"
  add = adding(output=str(longer))
  with monkeypatch.context() as patch:
    patch.setattr(*place, signalling(getattr(*place)))
    with pytest.raises(Interrupted), interrupt.raised():
      add()
  steps = reader.list_steps(longer / "checkpoints")
  if not whole:
    assert not steps
    add()  # the same command
  assert reader.list_steps(longer / "checkpoints") == [4]
  assert manifest.find_fault(longer / "checkpoints" / "4") == ""


def signalling(call):
  def wrapped(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGTERM)
    return call(*args, **kwargs)

  return wrapped


def test_a_signal_leaves_whole_answers(tagger, monkeypatch, capsys):
  monkeypatch.chdir(tagger)
  dumps, calls = json.dumps, []

  def second(value, **kwargs):
    if isinstance(value, dict) and "item" in value:  # an answer
      calls.append(1)
      if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return dumps(value, **kwargs)

  monkeypatch.setattr(json, "dumps", second)
  with pytest.raises(Interrupted), interrupt.raised():
    mistakes()()
  (answer,) = capsys.readouterr().out.splitlines()
  assert json.loads(answer)["item"] == "n1"


def test_training_goes_on_in_the_longer_run(tagger):
  printed = done(
    tagger, "train", *TAGGER, "--config.train.steps=8", "--workdir=runs/longer"
  )
  assert "kind::" in printed
  rows = (tagger / "runs/longer/metrics.jsonl").read_text().splitlines()
  assert [json.loads(row)["step"] for row in rows][-1] == 8
  assert all(row["step"] > 4 for row in map(json.loads, rows))


def test_new_products_are_recommended_and_read(ranker):
  (ranker / "history.jsonl").write_text('{"id": "n1"}\n')
  (answer,) = ask(
    ranker,
    "ranker-longer",
    *("--history=history.jsonl", "--top_k=60", "--targets=items,tags"),
  )
  assert answer["history"] == ["purple lamp"]
  ids = {item["id"] for item in answer["items"]}
  assert ids == {f"p{n:02}" for n in range(40)} | {"n2"}
  assert "colour::purple" in {tag["tag"] for tag in answer["tags"]}


def test_the_longer_run_is_measured(ranker):
  done(ranker, "evaluate", "--workdir=runs/ranker-longer")
  report = "evaluation/test-strict-items-tagrec_jax.json"
  found = json.loads((ranker / "runs/ranker-longer" / report).read_text())
  assert found["people"]["people"] == 24


def mistakes(**changes):
  given = {"products": "shop/new.jsonl", "top_k": "3"} | changes
  return lambda: recommend("runs/longer", **given)


def adding(**changes):
  given = {"output": "runs/other", "items": "shop/new.jsonl"} | changes
  return lambda: extend(given.pop("workdir", "runs/tagger"), **given)


@pytest.mark.parametrize(
  ("call", "said"),
  [
    (mistakes(products=""), "found no --products, and a run of the task 'tag"),
    (mistakes(top_k="0"), "--top_k: found '0'"),
    (mistakes(top_k="many"), "--top_k: found 'many'"),
    (mistakes(allowed=["shape::*"]), "found 'shape::.', which no tag fits"),
    (mistakes(exclusive=["shape::*"]), "found 'shape::.', which no tag fits"),
    (mistakes(products="shop/no.jsonl"), "no.jsonl: cannot be read"),
    (mistakes(products="shop/red.png"), "found the ending '.png'"),
    (adding(items=""), "found nothing to add"),
    (adding(output="runs/longer"), "found a run"),
    (adding(output="runs/tagger"), "found a run"),
    (adding(items="shop/items.jsonl"), "item 'p..': has been trained on"),
    (adding(workdir="runs/longer"), "item 'n1': has been trained on"),
    (adding(items="shop/tags.csv"), "column 'tag' is not known"),
    (adding(checkpoint="3"), "no checkpoint of"),
  ],
)
def test_a_mistake_is_told(tagger, monkeypatch, call, said):
  monkeypatch.chdir(tagger)
  with pytest.raises(TagrecError, match=said) as error:
    call()
  assert "\n" not in str(error.value)


def test_a_mistake_is_one_line_and_exit_code_2(tagger):
  run = command(tagger, "extend", "--workdir=runs/tagger", "--output=runs/no")
  assert run.returncode == 2
  last = run.stderr.strip().splitlines()[-1]
  assert last.startswith("ERROR: flags: found nothing to add")
  assert not (tagger / "runs/no").exists()


def test_products_are_no_question_for_a_ranker(ranker, monkeypatch):
  monkeypatch.chdir(ranker)
  with pytest.raises(UserError, match="of the task 'next_item'"):
    recommend("runs/ranker", products="shop/new.jsonl")
  with pytest.raises(UserError, match="--top_k: found 'auto'"):
    recommend("runs/ranker", top_k="auto")
  with pytest.raises(UserError, match="--allowed: found 'a', and a run that"):
    recommend("runs/ranker", allowed=["a"])
