from __future__ import annotations

import dataclasses
import json
import types

import numpy as np
import pytest

from configs import base
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.evaluation import paired
from tagrec_jax.run import ablation, ablation_table, trained
from tagrec_jax.run.ablation import Ablation, Row

COLOURS = ("red", "green", "blue")


@pytest.fixture
def settings(tmp_path):
  """Things whose brand is their first tag and whose title is the second."""
  lines = ["item_id,title,brand,tags"]
  for row in range(90):
    first, second = COLOURS[row % 3], COLOURS[row // 3 % 3]
    lines.append(
      f"i{row},a {second} thing {row},{first} works,{first}|{second}"
    )
  (tmp_path / "shop").mkdir()
  (tmp_path / "shop/items.csv").write_text("\n".join(lines) + "\n")
  config = base.get_config()
  base.tags_of_products(config)
  base.shrink(config)
  config.name = "things"
  config.data.source = "folder"
  config.data.folder = str(tmp_path / "shop")
  config.data.cache_dir = str(tmp_path / "cache")
  config.data.cold_items = 0.2
  config.data.text_vocabulary = 100
  config.model.product = ("brand",)
  config.optimizer.learning_rate = 0.05
  return build.settings(config.to_dict())


def read(told: str) -> list[tuple[tuple[str, ...], dict, int | None]]:
  return [
    (row.product, dict(row.changes), row.beside)
    for row in ablation.variants(told)
  ]


def test_rows_add_begin_anew_and_change():
  assert read("a; +b,c;fusion=transformer;+d;e,f;modality_dropout=0.5") == [
    (("a",), {}, None),
    (("a", "b", "c"), {}, 0),
    (("a", "b", "c"), {"fusion": "transformer"}, 1),
    (("a", "b", "c", "d"), {"fusion": "transformer"}, 2),
    (("e", "f"), {}, None),
    (("e", "f"), {"modality_dropout": 0.5}, 4),
  ]


@pytest.mark.parametrize("told", ["", "a;", "+a", "fusion=sum", "a;+", "a;;b"])
def test_rows_that_say_nothing(told):
  with pytest.raises(UserError, match="--features"):
    ablation.variants(told)


def test_a_row_stands_once():
  with pytest.raises(UserError, match=r"'a\+b' twice"):
    ablation.variants("a;+b;a,b")


def test_a_row_is_a_config(settings):
  (_, row) = ablation.variants("brand;fusion=transformer")
  made = row.settings(settings, 7)
  assert made.seed == 7
  assert made.model == dataclasses.replace(
    settings.model, product=("brand",), fusion="transformer"
  )
  (_, wrong) = ablation.variants("brand;fuson=sum")
  with pytest.raises(UserError, match=r"config.model.fuson"):
    wrong.settings(settings, 0)


def test_mistakes_are_told_before_the_work(settings, tmp_path, monkeypatch):
  monkeypatch.setattr(ablation, "train", None)
  rows = ablation.variants("brand;+smell")
  with pytest.raises(UserError, match="'smell'"):
    ablation.ablate(settings, rows, tmp_path / "work", [0])
  other = dataclasses.replace(settings, task="next_item")
  with pytest.raises(UserError, match="'tag_item'"):
    ablation.ablate(other, rows, tmp_path / "work", [0])


def test_from_table_to_table(settings, tmp_path, monkeypatch, capsys):
  """What was trained is not trained again; numbers are those of reports."""
  work = tmp_path / "work"
  rows = ablation.variants("brand;+text")
  found = ablation.ablate(settings, rows, work, [0])
  assert found is not None
  assert [row.label for row in found.rows] == ["popularity", "brand", "+text"]
  assert [row.beside for row in found.rows] == ["", "popularity", "brand"]
  for row, run in zip(found.rows[1:], ("brand", "brand+text"), strict=True):
    path = work / f"{run},seed=0/evaluation/test-strict-tags-tagrec_jax.json"
    told = json.loads(path.read_text())
    assert row.values == pytest.approx(
      {name: told["metrics"][of] for name, of in paired.TAG_MEASURES.items()}
    )
    seen = trained.read_settings(ablation.RunFolder(work / f"{run},seed=0"))
    assert seen.model.product == tuple(run.split("+"))
  popular, brand, text = (row.values["nDCG@5"] for row in found.rows)
  assert popular < brand < text
  gap, low, high = found.rows[2].gaps["nDCG@5"]
  assert gap == pytest.approx(text - brand)
  assert low <= gap <= high

  monkeypatch.setattr(ablation, "train", None)
  again = ablation.ablate(settings, rows, work, [0])
  assert again == found
  assert capsys.readouterr().err.count("is finished already") == 2

  # Another config is trained again, and an interruption ends the work.
  interrupted = types.SimpleNamespace(reports={})
  monkeypatch.setattr(ablation, "train", lambda *_: interrupted)
  assert ablation.ablate(settings, rows, work, [0, 1]) is None


@pytest.fixture
def found() -> Ablation:
  intervals = dict.fromkeys(paired.TAG_MEASURES, (0.25, 0.5))
  values = dict.fromkeys(paired.TAG_MEASURES, 0.375)
  gaps = dict.fromkeys(paired.TAG_MEASURES, (0.125, -0.0625, 0.25))
  gaps["P@1"] = (-0.125, -0.25, -0.0625)
  return Ablation(
    (
      Row("popularity", "", values, intervals, {}),
      Row("brand", "popularity", values, intervals, gaps),
    ),
    {
      "name": "things",
      "products asked": 1234,
      "products of training": 5678,
      "tags": 9,
      "seeds": [0, 1],
      "data fingerprint": "0",
      "bootstrap": "how",
      "commits": ["0123456789abcdef"],
    },
  )


def test_what_is_kept(found, tmp_path):
  ablation_table.keep(tmp_path, found)
  assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")
  kept = json.loads((tmp_path / "ablation.json").read_text())
  assert kept["rows"][1]["gaps"]["P@5"] == [0.125, -0.0625, 0.25]
  lines = (tmp_path / "ablation.md").read_text().splitlines()
  assert "1,234 products of test" in lines[2]
  assert "seeds 0, 1; commit 0123456789." in lines[2]
  assert lines[6].startswith("| popularity | .3750 [.2500, .5000] |")
  differences = [line for line in lines if line.startswith("| brand")][1]
  assert "| brand | popularity | **-0.1250 [-0.2500, -0.0625]** |" in (
    differences
  )
  assert differences.endswith(" | +0.1250 [-0.0625, +0.2500] |")


def test_gains_are_in_the_order_of_ranks(settings):
  dataset = build.dataset(settings)
  gains = ablation._gains(dataset)
  right = np.sort(dataset.product["tags"][dataset.test_items], axis=1)
  assert gains.shape == right.shape
  counts = np.bincount(
    dataset.product["tags"][: len(dataset.items)].ravel() + 1
  )[1:]
  rarest = int(np.argmin(counts))
  assert (gains[right == rarest] == gains[right >= 0].max()).all()
