from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from configs import base
from experiments.benchmarks import (
  tag_measures,
  tag_report,
  tags,
  texts,
)
from experiments.benchmarks.contest import Contestant
from experiments.peers import tag_products
from experiments.peers.tag_products import TagProducts
from tagrec_jax import build, registries
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.encodings import product_encodings
from tagrec_jax.data.records import Item
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.data.vocab import Vocabulary
from tagrec_jax.evaluation.answers import Rules
from tagrec_jax.evaluation.evaluate import TagMeter
from tagrec_jax.evaluation.paired import TAG_MEASURES

ROOT = pathlib.Path(__file__).resolve().parents[2]
TRAINING, NEW = 40, 12
COLOURS = ("red", "green", "blue", "grey", "black")

FAKE = """
import numpy as np
from experiments.peers.tag_products import TagProducts, best

def tags(folder, inputs, answers, dies=False):
  if dies:
    raise SystemExit("no memory left")
  def train(documents, products):
    counts = np.bincount(products.tags, minlength=products.num_tags)
    lengths = {"text": 5, "all": 8}
    assert {len(d.split()) for d in documents} == {lengths[inputs]}, documents
    return lambda asked: best(np.tile(counts.astype(float), (len(asked), 1)))
  return TagProducts.read(folder).answer(train, inputs, answers)

def ours(config, workdir, answers):
  from experiments.peers.tag_products import keep_answers
  assert config["task"] == "tag_item"
  right = np.load(workdir + "-right.npz")
  keep_answers(answers, {
    split: (rows, np.zeros(rows.shape)) for split, rows in right.items()
  })
  return lambda turns: {"work": turns, "training_seconds": 1.5}
"""


def make_items() -> list[Item]:
  random = np.random.default_rng(0)
  return [
    Item(
      id=f"p{row:02}",
      title=f"Thing-{row % 3}!",
      description="in a BOX",
      tags=tuple(
        COLOURS[tag]
        for tag in sorted(random.choice(5, 1 + row % 3, replace=False))
      ),
      numbers={"price": float(row + 1)},
      categories={"kind": "old lamp" if row % 2 else "chair"},
      sets={"parts": ("leg", "back")[: 1 + row % 2][:1]},
    )
    for row in range(TRAINING + NEW)
  ]


@dataclasses.dataclass(frozen=True)
class Source:
  name: str = "made"

  def read(self):
    yield from reversed(make_items())  # the order is not that of the rows

  def files(self):
    return []


@pytest.fixture(scope="module")
def settings():
  config = base.get_config()
  base.tags_of_products(config)
  config.data.source = "storefront"
  config.model.product = ("text", "kind", "parts", "numbers")
  return build.settings(config.to_dict())


@pytest.fixture(scope="module")
def data(settings) -> Dataset:
  items = make_items()
  encodings = product_encodings(items[:TRAINING], settings.data)
  ids = [item.id for item in items]
  nobody = Questions(np.zeros(0, np.int32), np.zeros(0, np.int64))
  return Dataset(
    name="made",
    fingerprint="0",
    spec=Spec(
      TRAINING, 5, tuple(e.feature for e in encodings), num_new_items=NEW
    ),
    items=Vocabulary(ids[:TRAINING]),
    tags=Vocabulary(sorted(COLOURS)),
    people=Vocabulary(()),
    titles=tuple(ids),
    events=Interactions(
      np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
    ),
    train_ends=np.zeros(0, np.int64),
    valid=nobody,
    test=nobody,
    product={e.feature.name: e.encode(items) for e in encodings},
    person={},
    counts={},
    encodings=encodings,
    new_items=Vocabulary(ids[TRAINING:]),
    valid_items=np.arange(TRAINING, TRAINING + 5, dtype=np.int32),
    test_items=np.arange(TRAINING + 5, TRAINING + NEW, dtype=np.int32),
  )


@pytest.fixture
def source(monkeypatch):
  class Made:
    from_settings = staticmethod(lambda _: Source())

  monkeypatch.setattr(registries, "SOURCES", {"storefront": Made})


@pytest.fixture
def products(settings, data, source) -> TagProducts:
  return texts.tag_products(settings, data)


def test_peers_read_the_rows_of_the_data_set(products, data):
  assert products.texts[4] == "Thing-1! in a BOX"
  assert len(products.texts) == TRAINING + NEW
  assert products.num_items == TRAINING
  first, last = products.offsets[7:9]
  named = [data.tags.ids[tag] for tag in products.tags[first:last]]
  assert named == sorted(make_items()[7].tags)
  assert products.asked["test"].tolist() == list(range(45, 52))


def test_fields_are_what_our_model_reads(products, data):
  assert products.fields[1] == ["price=0", "kind=old_lamp", "parts=leg"]
  assert products.fields[TRAINING - 1][0] == "price=9"
  assert products.fields[-1][0] == "price=9"  # dearer than any of training
  assert texts.fields(data, ("text", "kind"))[0] == ["kind=chair"]
  assert not any(texts.fields(data, ("text",)))


def test_a_missing_number_is_no_field(data):
  column = np.array([1.0, np.nan, 3.0, np.nan, 9.0, -9.0], np.float32)
  # The third is the largest of training, which is the first four.
  assert texts._tenths(column, 4) == [(0, 0), (2, 9), (4, 9), (5, 0)]
  assert texts._tenths(column * np.nan, 4) == []


def test_documents_are_words(products):
  assert products.documents("text")[4] == "thing 1 in a box"
  assert products.documents("all")[1].split()[-2:] == (
    ["kind=old_lamp", "parts=leg"]
  )


def test_what_peers_read_is_what_was_written(products, tmp_path):
  products.write(tmp_path)
  again = TagProducts.read(tmp_path)
  assert again.documents("all") == products.documents("all")
  assert again.num_tags == 5
  np.testing.assert_array_equal(again.offsets, products.offsets)
  np.testing.assert_array_equal(again.tags, products.tags)
  np.testing.assert_array_equal(again.asked["valid"], products.asked["valid"])


def test_lists_become_arrays(tmp_path):
  ids, scores = tag_products.rows_of([[(3, 0.5), (1, 0.25)], []])
  assert ids[0, :3].tolist() == [3, 1, -1]
  assert scores[0, 1] == 0.25
  assert (ids[1] == -1).all()
  tag_products.keep_answers(tmp_path / "a.npz", {"test": (ids, scores)})
  kept = tag_products.read_answers(tmp_path / "a.npz", "test")
  np.testing.assert_array_equal(kept, ids)


def test_equal_scores_go_by_id():
  ids, _ = tag_products.best(np.array([[0.0, 2.0, 1.0, 2.0]]))
  assert ids.tolist() == [[1, 3, 2, 0]]


def test_measures_are_those_of_the_meter(data):
  rows = data.test_items
  scores = np.random.default_rng(1).standard_normal((len(rows), 5))
  meter = TagMeter(
    Rules(cutoffs=(1, 3, 5), bootstrap_samples=0, seed=0, passport={}),
    tags_of_item=data.product["tags"],
    counts=TagCounts.of(data),
    new_items=NEW,
  )
  meter.add({"question": np.arange(len(rows)), "product_ids": rows}, scores)
  told = meter.report().metrics
  found = tag_measures.measure(tag_products.best(scores)[0], data, rows)
  assert {n: m.value for n, m in found.items()} == pytest.approx(
    {name: told[of] for name, of in TAG_MEASURES.items()}
  )


def test_psp_counts_rare_tags_more(data):
  """Worked from the formula: N = 40, A = .55, B = 1.5."""
  rows = data.test_items[:1]
  right = data.product["tags"][rows]
  right = right[right >= 0]
  counts = np.bincount(data.product["tags"][:TRAINING].ravel() + 1)[1:]
  worth = 1 + (np.log(40) - 1) * 2.5**0.55 * (counts + 1.5) ** -0.55
  ids = np.array([[right[0], -1, -1, -1, -1]])
  found = tag_measures.measure(ids, data, rows)
  assert found["PSP@5"].value == pytest.approx(
    worth[right[0]] / worth[right].sum()
  )
  assert found["P@5"].value == pytest.approx(0.2)


@pytest.fixture
def fakes(tmp_path, monkeypatch, settings, data, source):
  """The command's own logic with contestants that only pretend."""
  (tmp_path / "fake_tags.py").write_text(FAKE)
  monkeypatch.setenv("PYTHONPATH", str(tmp_path))
  monkeypatch.setattr(build, "dataset", lambda _: data)
  right = {
    split: data.product["tags"][getattr(data, f"{split}_items")]
    for split in tags.SPLITS
  }
  np.savez(tmp_path / "ours-right.npz", **right)
  monkeypatch.setattr(
    tags,
    "PEERS",
    {
      "counts": ("fake_tags", {}),
      "dead": ("fake_tags", {"dies": True}),
      tags.PECOS: ("fake_tags", {}),
    },
  )
  made = tags.contestants

  def redirected(*arguments):
    for model, inputs, answers, contestant in made(*arguments):
      function = "ours" if model == tags.OURS else "tags"
      target = f"fake_tags:{function}"
      yield (
        model,
        inputs,
        answers,
        dataclasses.replace(contestant, target=target),
      )

  monkeypatch.setattr(tags, "contestants", redirected)

  def run(*peers, pecos=""):
    return tags.run(settings, tmp_path, peers, pecos, lambda _: None)

  return run


WHERE = {
  "cpu": "a chip",
  "cpus": 2,
  "load_before": 0.0,
  "time": "now",
  "versions": {"commit": "0123456789abcdef"},
}


def test_the_contest(fakes, tmp_path, capsys):
  result = fakes("counts", "dead", tags.PECOS)
  told = capsys.readouterr().err
  assert "WARN PECOS XR-Linear is left out: --pecos names no" in told
  assert told.count("no memory left") == 2
  assert [row.name for row in result.rows] == (
    ["tagrec_jax", "counts, text", "counts, all"]
  )
  ours = result.rows[0]
  assert ours.values["test"]["PSP@5"] == 1
  assert ours.training_seconds == 1.5
  assert ours.peak_bytes > 2**20
  assert len(result.gaps) == 2 * 5
  gap = next(g for g in result.gaps if (g.split, g.measure) == ("test", "P@1"))
  assert gap.found == pytest.approx(1 - result.rows[1].values["test"]["P@1"])
  assert gap.low <= gap.found <= gap.high
  assert [target.what.split()[0] for target in result.targets] == (
    ["P@5", "PSP@5", "seconds"]
  )
  assert result.conditions["other fields told to peers"] == (
    ["kind", "parts", "price"]
  )
  tag_report.keep(tmp_path, result, WHERE)
  kept = json.loads((tmp_path / "tags.json").read_text())
  assert kept["rows"][0]["model"] == "tagrec_jax"
  assert kept["targets"][2]["met"] is True
  text = (tmp_path / "tags.md").read_text()
  assert "| **tagrec_jax** | text, kind, parts, numbers | 1.0000 |" in text
  assert "commit 0123456789." in text
  assert text.index("## test") < text.index("## valid")
  assert (tmp_path / "tags.png").read_bytes().startswith(b"\x89PNG")


def test_ours_alone_has_no_gap(fakes, tmp_path):
  result = fakes()
  assert not result.gaps
  assert [target.what for target in result.targets] == ["seconds of training"]
  tag_report.keep(tmp_path, result, WHERE)
  assert "less the best peer" not in (tmp_path / "tags.md").read_text()


def test_without_ours_there_is_no_contest(fakes, tmp_path):
  (tmp_path / "ours-right.npz").unlink()
  with pytest.raises(UserError, match="'tagrec_jax': ended with code"):
    fakes()


def test_pecos_runs_in_its_own_interpreter(settings, products, tmp_path):
  told = tags.contestants(
    settings, products, tmp_path, [tags.PECOS, "fastText"], "/other/python"
  )
  pythons = {model: contestant.python for model, _, _, contestant in told}
  assert pythons == {
    tags.PECOS: "/other/python",
    "fastText": sys.executable,
    tags.OURS: sys.executable,
  }
  assert len({answers for _, _, answers, _ in told}) == 5
  only_text = dataclasses.replace(products, fields=[[]] * len(products.texts))
  told = tags.contestants(settings, only_text, tmp_path, ["fastText"], "")
  assert [inputs for _, inputs, _, _ in told][:-1] == ["text"]
  assert isinstance(told[-1][-1], Contestant)


@pytest.mark.parametrize(
  ("flag", "said"),
  [
    ("--peers=fastTex", "--peers: found 'fastTex'"),
    ("--config=configs/quickstart.py", "config.task: found 'next_item'"),
  ],
)
def test_wrong_flags_are_told(tmp_path, flag, said):
  done = subprocess.run(
    [
      *(sys.executable, "-m", "experiments.benchmark_tags"),
      *("--config=configs/software.py", f"--workdir={tmp_path}", flag),
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.returncode == 2
  assert done.stderr.startswith(f"ERROR: {said}")
