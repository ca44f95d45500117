"""Every setting of a run, typed and checked, without importing JAX.

`from_dict` turns the mapping of a config file into frozen dataclasses; below
`tagrec_jax.build` only these are seen. The meaning and unit of each key stand
once, as comments in `configs/base.py`. Names of models, losses and the like are
checked by the registries in `tagrec_jax.build`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tagrec_jax.core.contradictions import (
  check_approximate,
  check_kernel,
  check_layers,
  check_masked,
  check_neighbours,
  check_posts,
  check_roll_backs,
  check_sequence,
  check_split_rows,
  check_tag_item,
  check_train_on_valid,
  check_views,
)
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.typed import section


def _key(
  minimum: int | float | None = None,  # beartype: an int is no float
  maximum: int | float | None = None,
  choices: tuple[str, ...] = (),
) -> Any:
  """A field with its allowed values."""
  return dataclasses.field(
    metadata={"min": minimum, "max": maximum, "choices": choices}
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSettings:
  source: str
  folder: str
  cache_dir: str
  min_rating: float
  min_person_events: int = _key(1)
  min_item_events: int = _key(1)
  min_tag_posts: int = _key(1)
  max_bad_rows: float = _key(0, 1)
  split: str = _key(choices=("leave_one_out", "global_time"))
  held_out_fraction: float = _key(0, 0.9)
  train_on_valid: bool
  text_vocabulary: int = _key(0)
  text_words: int = _key(0)
  catalogue: str = _key(choices=("taken", "described"))
  cold_items: float = _key(0, 0.45)
  cold_people: float = _key(0, 0.9)
  cold_tags: float = _key(0, 0.9)
  min_tag_items: int = _key(1)
  ngram_buckets: int = _key(0)
  ngram_width: int = _key(1)
  image_size: int = _key(0, 1024)
  audio_seconds: float = _key(0, 60)
  pretrained_text: str
  pretrained_tokens: int = _key(1, 512)
  place_km: tuple[float, ...] = _key(0.1, 20_000)
  shop_people: int = _key(1)
  shop_items: int = _key(1)
  shop_tags: int = _key(1)
  shop_events: int = _key(1)
  shop_posts: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineSettings:
  batch_rows: int = _key(1)
  row_length: int = _key(1)
  max_history: int = _key(1)
  long_histories: str = _key(choices=("newest", "chunks"))
  begin_token: bool
  product_tags: int = _key(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSettings:
  history: str
  width: int = _key(1)
  layers: int = _key(1)
  heads: int = _key(1)
  hidden: int = _key(1)
  dropout: float = _key(0, 0.95)
  activation: str = _key(choices=("relu", "gelu", "swiglu"))
  positions: str = _key(choices=("learned", "rotary", "none"))
  product: tuple[str, ...]
  text: str
  image: str
  audio: str
  fusion: str = _key(choices=("sum", "transformer"))
  fusion_layers: int = _key(1)
  modality_dropout: float = _key(0, 0.95)
  members: int = _key(1)
  neighbours: int = _key(0)
  neighbour_weight: float = _key(0, 1)
  neighbour_temperature: float = _key(1e-4)
  tag_vectors: str = _key(choices=("learned", "text", "both"))
  tag_dropout: float = _key(0, 0.95)
  moment: tuple[str, ...]
  person: tuple[str, ...]
  context_dropout: float = _key(0, 0.95)
  tie_products: bool
  score: str = _key(choices=("dot", "cosine"))
  temperature: float = _key(1e-4)
  interests: int = _key(1)
  recent_events: int = _key(1)
  recall: bool
  ages: bool
  memory_weight: float = _key(0, 1)
  memory_window: int = _key(1)
  memory_reach: float = _key(0)
  memory_back: float = _key(0, 1)
  memory_discount: float = _key(0, 1)
  memory_smoothing: float = _key(0)
  memory_decay: float = _key(0, 1)
  decoder: str = _key(choices=("ranking", "sequence"))
  decoder_layers: int = _key(1)
  beams: int = _key(1)
  tags_written: int = _key(1)
  code_levels: int = _key(1, 8)
  code_size: int = _key(2, 65536)
  code_vectors: tuple[str, ...]
  compute_dtype: str = _key(choices=("float32", "bfloat16"))
  scan_layers: bool
  remat: str = _key(choices=("none", "dots", "block"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectiveSettings:
  question: str = _key(choices=("next", "masked"))
  masked_rate: float = _key(0.01, 0.95)
  items: str
  items_weight: float = _key(0)
  tags: str
  tags_weight: float = _key(0)
  negatives: int = _key(1)
  gbce_calibration: float = _key(0, 1)
  kernel: str = _key(choices=("xla", "pallas"))
  label_smoothing: float = _key(0, 0.99)
  asymmetric_gamma: float = _key(0, 10)
  asymmetric_margin: float = _key(0, 0.9)
  propensity_weight: float = _key(0, 1)
  uncopied_weight: float = _key(0)
  contrast_weight: float = _key(0)
  contrast_temperature: float = _key(1e-4)
  contrast_views: tuple[str, ...]
  contrast_rate: float = _key(0, 0.95)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
  name: str
  tables: str = _key(choices=("dense", "lazy"))
  learning_rate: float = _key(1e-9)
  content_learning_rate: float = _key(0)
  schedule: str = _key(choices=("constant", "cosine", "linear"))
  warmup_steps: int = _key(0)
  weight_decay: float = _key(0)
  beta1: float = _key(0, 0.9999999)
  beta2: float = _key(0, 0.9999999)
  clip_norm: float = _key(0)
  max_loss_rise: float = _key(0)
  ema_decay: float = _key(0, 0.9999999)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSettings:
  steps: int = _key(1)
  log_every: int = _key(1)
  evaluate_every: int = _key(1)
  patience: int = _key(0)
  watch: str
  max_skipped_steps: int = _key(1)
  max_roll_backs: int = _key(0)
  steps_per_call: int = _key(1)
  accumulate_steps: int = _key(1)
  init_from: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardingSettings:
  backend: str = _key(choices=("jit", "pmap"))
  preset: str
  data: int = _key(-1)
  fsdp: int = _key(1)
  sequence: int = _key(1)
  tensor: int = _key(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointSettings:
  save_every: int = _key(1)
  keep: int = _key(1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
  protocol: str
  cutoffs: tuple[int, ...]
  batch_people: int = _key(1)
  approximate_recall: float = _key(0, 1)
  max_valid_people: int = _key(0)
  bootstrap_samples: int = _key(0)
  baselines: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  name: str
  task: str = _key(choices=("next_item", "tag_item", "tag_post"))
  seed: int = _key(0, 2**31 - 1)
  data: DataSettings
  pipeline: PipelineSettings
  model: ModelSettings
  objective: ObjectiveSettings
  optimizer: OptimizerSettings
  train: TrainSettings
  sharding: ShardingSettings
  checkpoint: CheckpointSettings
  evaluation: EvaluationSettings


def from_dict(values: Mapping[str, Any]) -> Settings:
  """Checks names, types, ranges and contradictions of a whole config.

  Raises:
    UserError: naming the key, what was found and what is allowed.
  """
  settings = section(Settings, values, "config")
  model, data = settings.model, settings.pipeline
  if settings.model.width % settings.model.heads:
    raise UserError(
      "config.model.heads",
      f"found {model.heads}",
      f"a divisor of config.model.width = {model.width}",
      f"use {_nearest_divisor(model.width, model.heads)}",
    )
  if data.max_history > data.row_length:
    raise UserError(
      "config.pipeline.max_history",
      f"found {data.max_history}",
      f"at most config.pipeline.row_length = {data.row_length}",
      "make the row longer or the history shorter",
    )
  if settings.optimizer.warmup_steps > settings.train.steps:
    raise UserError(
      "config.optimizer.warmup_steps",
      f"found {settings.optimizer.warmup_steps}",
      f"at most config.train.steps = {settings.train.steps}",
      "warm up for a tenth of the steps",
    )
  check_tag_item(settings)
  check_train_on_valid(settings)
  if settings.objective.items_weight + settings.objective.tags_weight == 0:
    raise UserError(
      "config.objective",
      "found items_weight = tags_weight = 0",
      "one of them above 0",
      "set config.objective.items_weight=1.0",
    )
  check_views(settings)
  check_kernel(settings)
  check_layers(settings)
  check_approximate(settings)
  check_masked(settings)
  check_neighbours(settings)
  check_posts(settings)
  check_sequence(settings)
  check_split_rows(settings)
  check_roll_backs(settings)
  _check_intervals(settings)
  return settings


def _check_intervals(settings: Settings) -> None:
  """All that is done every so many steps is done between two calls."""
  train, per_call = settings.train, settings.train.steps_per_call
  for key in ("steps_per_call", "accumulate_steps"):
    _check_convolutions(settings, key)
  for name, steps in {
    "train.steps": train.steps,
    "train.log_every": train.log_every,
    "train.evaluate_every": train.evaluate_every,
    "checkpoint.save_every": settings.checkpoint.save_every,
  }.items():
    if steps % per_call:
      raise UserError(
        f"config.{name}",
        f"found {steps}",
        f"a multiple of config.train.steps_per_call = {per_call}",
        f"use {max(round(steps / per_call), 1) * per_call}",
      )


def _check_convolutions(settings: Settings, key: str) -> None:
  model, turns = settings.model, getattr(settings.train, key)
  for feature in ("image", "audio"):
    reads = feature in model.product and getattr(model, feature) == "cnn"
    if reads and turns > 1:
      raise UserError(
        f"config.train.{key}",
        f"found {turns} with config.model.{feature}='cnn': convolutions in a"
        " loop are 45 times slower on a CPU",
        "1",
        "set it to 1, or choose another encoder",
      )


def to_dict(settings: Settings) -> dict[str, Any]:
  """Plain values, ready for JSON; `from_dict` reads them back."""
  return dataclasses.asdict(settings)


def _nearest_divisor(number: int, wish: int) -> int:
  divisors = [d for d in range(1, number + 1) if number % d == 0]
  return min(divisors, key=lambda d: abs(d - wish))
