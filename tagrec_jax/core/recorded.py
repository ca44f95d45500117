"""Configs that were written before some of today's keys existed.

A run keeps the config it was started with. A key that came later had no effect
then; here stands the value that still has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LATER: Mapping[str, Mapping[str, Any]] = {
  "data": {
    "min_tag_posts": 1,
    "train_on_valid": False,
    "catalogue": "taken",
    "cold_items": 0.0,
    "cold_people": 0.0,
    "cold_tags": 0.0,
    "min_tag_items": 1,
    "ngram_buckets": 0,
    "ngram_width": 192,
    "image_size": 0,
    "audio_seconds": 0.0,
    "pretrained_text": "",
    "pretrained_tokens": 64,
    "place_km": [],
    "shop_people": 2000,
    "shop_items": 500,
    "shop_tags": 20,
    "shop_events": 20,
    "shop_posts": False,
  },
  "pipeline": {"product_tags": 32},
  "model": {
    "text": "bag",
    "image": "cnn",
    "audio": "cnn",
    "fusion": "sum",
    "fusion_layers": 1,
    "modality_dropout": 0.0,
    "members": 1,
    "neighbours": 0,
    "neighbour_weight": 0.5,
    "neighbour_temperature": 0.04,
    "tag_vectors": "learned",
    "tag_dropout": 0.2,
    "interests": 1,
    "ages": False,
    "recent_events": 8,
    "recall": True,
    "memory_weight": 0.0,
    "memory_window": 10,
    "memory_reach": 0.0,
    "memory_back": 0.0,
    "memory_discount": 0.0,
    "memory_smoothing": 30.0,
    "memory_decay": 0.5,
    "decoder": "ranking",
    "decoder_layers": 1,
    "beams": 64,
    "tags_written": 16,
    "code_levels": 3,
    "code_size": 64,
    "code_vectors": ["events"],
    "scan_layers": False,
    "remat": "none",
  },
  "objective": {
    "question": "next",
    "masked_rate": 0.2,
    "kernel": "xla",
    "asymmetric_gamma": 2.0,
    "asymmetric_margin": 0.0,
    "propensity_weight": 0.0,
    "uncopied_weight": 1.0,
    "contrast_weight": 0.0,
    "contrast_temperature": 0.1,
    "contrast_views": ["mask"],
    "contrast_rate": 0.2,
  },
  "optimizer": {
    "tables": "dense",
    "content_learning_rate": 0.0,
    "max_loss_rise": 0.0,
  },
  "train": {
    "steps_per_call": 1,
    "accumulate_steps": 1,
    "init_from": "",
    "max_roll_backs": 0,
  },
  "evaluation": {"approximate_recall": 0.0},
  "sharding": {"sequence": 1},
}
"""Section → key → the value of configs that lack it."""


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
  """A recorded config with the keys that came later, in sections it has."""
  return {
    name: {**LATER.get(name, {}), **value}
    if isinstance(value, Mapping)
    else value
    for name, value in config.items()
  }
