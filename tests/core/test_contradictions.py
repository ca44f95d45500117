"""What a writing decoder does not read is refused in one line."""

from __future__ import annotations

import pytest

from configs import base
from tagrec_jax import build
from tagrec_jax.core.errors import UserError


def settings(**changes):
  config = base.get_config()
  config.model.decoder = "sequence"
  config.update_from_flattened_dict(changes)
  return build.settings(config.to_dict())


def test_products_may_be_written():
  assert settings().model.decoder == "sequence"


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("model.memory_weight", 0.3),
    ("model.interests", 2),
    ("model.tie_products", False),
    ("model.score", "cosine"),
    ("model.temperature", 0.5),
    ("objective.items", "sampled_softmax"),
    ("objective.label_smoothing", 0.1),
    ("objective.tags_weight", 0.5),
    ("objective.contrast_weight", 0.1),
    ("optimizer.tables", "lazy"),
  ],
)
def test_what_has_no_effect_on_products_is_refused(key, value):
  with pytest.raises(UserError, match=f"config.{key}: found .*'sequence'") as e:
    settings(**{key: value})
  assert "\n" not in str(e.value)


def test_to_go_back_there_must_be_a_limit():
  limit = {"optimizer.max_loss_rise": 0.5}
  found = settings(**limit, **{"train.max_roll_backs": 3})
  assert found.train.max_roll_backs == 3
  with pytest.raises(UserError, match=r"max_roll_backs: found 3 with .*rise=0"):
    settings(**{"train.max_roll_backs": 3})


def posts(**changes):
  return settings(
    **{
      "task": "tag_post",
      "objective.items_weight": 0.0,
      "objective.tags_weight": 1.0,
      "model.decoder": "ranking",
      **changes,
    }
  )


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("model.decoder", "sequence"),
    ("model.ages", True),
    ("model.memory_weight", 0.3),
    ("objective.items_weight", 1.0),
    ("objective.tags", "asymmetric"),
    ("objective.label_smoothing", 0.1),
    ("optimizer.tables", "lazy"),
  ],
)
def test_what_has_no_effect_on_posts_is_refused(key, value):
  with pytest.raises(UserError, match=f"config.{key}: found .*'tag_post'"):
    posts(**{key: value})


def test_people_have_vectors_for_posts_alone():
  assert posts(**{"model.person": ("id",)}).model.person == ("id",)
  with pytest.raises(UserError, match="found 'id' with the task 'next_item'"):
    settings(**{"model.person": ("id",), "model.decoder": "ranking"})


def test_only_products_are_searched_for_approximately():
  config = base.get_config()
  config.evaluation.approximate_recall = 0.9
  assert build.settings(config.to_dict()).evaluation.approximate_recall == 0.9
  with pytest.raises(UserError, match="approximate_recall: found 0.9 with the"):
    posts(**{"evaluation.approximate_recall": 0.9})


@pytest.mark.parametrize(
  ("key", "value"), [("scan_layers", True), ("remat", "block")]
)
def test_how_layers_run_says_nothing_where_no_layer_is_a_block(key, value):
  plain = {"model.decoder": "ranking", f"model.{key}": value}
  settings(**plain)
  settings(**plain, **{"model.history": "gru", "model.fusion": "transformer"})
  with pytest.raises(UserError, match=f"config.model.{key}: found .*nothing"):
    settings(**plain, **{"model.history": "gru"})


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("model.history", "gru"),
    ("sharding.backend", "pmap"),
    ("model.decoder", "sequence"),
  ],
)
def test_rows_are_split_where_attention_alone_reads_them(key, value):
  plain = {"model.decoder": "ranking", "sharding.sequence": 2}
  assert settings(**plain).sharding.sequence == 2
  with pytest.raises(UserError, match=f"config.{key}: found '{value}' with"):
    settings(**{**plain, key: value})


def test_rows_that_are_split_divide():
  plain = {"model.decoder": "ranking", "sharding.sequence": 3}
  with pytest.raises(
    UserError, match="row_length: found 256 .* use 252, 255 or 258"
  ):
    settings(**plain)


def test_pictures_are_not_read_in_a_loop():
  plain = {"model.decoder": "ranking", "model.product": ("id", "image")}
  with pytest.raises(UserError, match="accumulate_steps: found 2 .*45 times"):
    settings(**plain, **{"train.accumulate_steps": 2})
