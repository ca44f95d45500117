"""The parts of the benchmark, by name."""

from __future__ import annotations

from tagrec_jax.core.registry import Registry

NAMES = [
  "training",
  "profile",
  "evaluation",
  "retrieval",
  "pipeline",
  "catalogue",
  "memory",
  "history",
]
"""Measured unless others are named."""

PARTS = Registry(
  "--parts",
  {
    name: f"experiments.benchmarks.{name}:run"
    for name in (*NAMES, "text_encoding", "encoders", "blocks")
  },
)
"""Bench → Result."""
