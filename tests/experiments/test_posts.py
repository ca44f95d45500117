"""Tags of posts, from training to the answer, as a user."""

from __future__ import annotations

import json

import pytest

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.run import trained
from tagrec_jax.run.asked import asked
from tagrec_jax.run.recommend import recommend
from tagrec_jax.serving.posts import PostTagger
from tagrec_jax.serving.requests import Request, Taken
from tests.experiments.test_shop import ROOT, command

CONFIG = f"--config={ROOT / 'configs/hetrec_posts.py'}:tiny"


def run(cwd, module, *flags):
  done = command(module, "--workdir=run", *flags, cwd=cwd, HOME=str(cwd))
  assert done.returncode == 0, done.stderr
  return done.stdout


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
  """A shop whose people tag what they buy; the moment is told, too."""
  cwd = tmp_path_factory.mktemp("posts")
  told = run(
    cwd,
    "train",
    CONFIG,
    "--config.data.source=storefront",
    "--config.data.shop_posts=True",
    "--config.data.shop_people=100",
    "--config.data.shop_items=40",
    "--config.data.train_on_valid=False",
    "--config.model.product=('id','tags')",
    "--config.model.moment=('device',)",
    f"--config.data.cache_dir={cwd / 'cache'}",
  )
  (cwd / "stdout").write_text(told)
  return cwd


def test_three_posts_are_shown(shop):
  told = (shop / "stdout").read_text()
  assert "Tags for three posts" in told
  assert "recommend --workdir=run --person=ID --item=ID" in told


def test_answers_on_the_command_line(shop):
  (shop / "requests.jsonl").write_text(
    '{"person": "person_03", "item": "item_07",'
    ' "context": {"device": "phone"}}\n'
    '{"history": [{"id": "item_01", "tags": ["cosy", "no such"]}],'
    ' "item": "item_07"}\n'
  )
  told = run(shop, "recommend", "--requests=requests.jsonl", "--top_k=3")
  known, stranger = map(json.loads, told.splitlines())
  assert known["person"] == "person_03"
  assert known["item"] == stranger["item"] == "item_07"
  assert stranger["unknown"] == ["no such"]
  for answer in (known, stranger):
    scores = [tag["score"] for tag in answer["tags"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
  one = run(shop, "recommend", f"--item={known['title']}", "--top_k=1")
  assert json.loads(one)["item"] == "item_07"


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ({}, "found no --item, and a run of the task 'tag_post'"),
    ({"products": "x.csv", "item": "item_07"}, "found --products, and a run"),
    ({"item": "item_07", "targets": ["items"]}, "--targets: found 'items'"),
    ({"item": "item_07", "requests": "x"}, "found --item and --requests"),
    ({"item": "item_7"}, "--item: no product is called 'item_7'"),
    ({"item": "item_07", "top_k": "auto"}, "--top_k: found 'auto'"),
    ({"item": "item_07", "allowed": ["?"]}, "found '.', which no tag fits"),
  ],
)
def test_what_does_not_go_together(shop, flags, message):
  with pytest.raises(UserError, match=message):
    recommend(str(shop / "run"), **flags)


def test_an_answer_has_the_scores_that_were_measured(shop):
  loaded = trained.load(str(shop / "run"))
  dataset = loaded.dataset
  batch = next(asked(loaded.settings, dataset, "test").batches())
  scores_BC = loaded.scores(batch)["tags"]
  tagger = PostTagger(loaded.scores, dataset, loaded.settings)
  events, classes = dataset.events, _classes(dataset)
  row = max(range(len(batch["last"])), key=lambda row: batch["last"][row])
  event = int(batch["events"][row])
  assert event != UNKNOWN
  person = int(batch["person_ids"][row, 0])
  history = tuple(
    Taken(
      dataset.all_items.ids[events.items[e]],
      int(events.times[e]),
      tuple(dataset.all_tags.ids[t] for t in events.posted[e]),
    )
    for e in range(int(events.offsets[person]), event)
  )
  request = Request(
    dataset.people.ids[person],
    history,
    int(events.times[event]),
    {"device": classes[events.moment["device"][event]]},
    dataset.all_items.ids[events.items[event]],
  )
  (answer,) = tagger.answer([request], k=5)
  for tag in answer["tags"]:
    measured = float(scores_BC[row, dataset.all_tags.index(tag["tag"])])
    assert tag["score"] == pytest.approx(measured, abs=2e-4)


def _classes(dataset):
  (device,) = (e for e in dataset.encodings if e.feature.name == "device")
  return device.names.ids


@pytest.mark.nightly
def test_films_of_hetrec(data_folder, tmp_path):
  folder = data_folder / "hetrec_movielens_core3"
  if not folder.is_dir():
    pytest.skip(f"no HetRec MovieLens: {folder} is not a folder")
  run(tmp_path, "train", CONFIG, f"--config.data.folder={folder}")
  told = run(tmp_path, "recommend", "--person=250", "--item=453", "--top_k=5")
  answer = json.loads(told)
  assert len(answer["tags"]) == 5
  # Who gave a tag before gives it again more often than not.
  assert answer["tags"][0]["tag"] in answer["copied"]["person"]
