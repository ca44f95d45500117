"""Each peer of the contest of taggers learns, where it is installed."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from experiments.peers import tag_products
from experiments.peers.tag_products import TagProducts

PEERS = [
  ("fasttext_tags", "fasttext", {"epochs": 50, "width": 10}),
  ("omikuji_tags", "omikuji", {"preset": "bonsai"}),
  ("pecos_tags", "pecos", {}),
  ("sgd_tags", "sklearn", {}),
]


@pytest.mark.parametrize(("module", "package", "options"), PEERS)
def test_a_peer_learns(module, package, options, tmp_path):
  """Each tag has a word of its own."""
  pytest.importorskip(package, reason="the extra [bench] is not installed")
  words = ["ape", "bee", "cat", "dog", "elk", "fox"]
  lists = [[row % 6, (row + row // 6) % 6] for row in range(120)]
  lists = [sorted(set(row)) for row in lists]
  asked = np.arange(120, 126)
  TagProducts(
    texts=[" ".join(words[tag] for tag in row) for row in lists] + words,
    fields=[[]] * 126,
    offsets=np.cumsum([0, *map(len, lists)]),
    tags=np.concatenate(lists).astype(np.int32),
    num_tags=6,
    asked={"valid": asked, "test": asked},
  ).write(tmp_path)
  answers = str(tmp_path / "answers.npz")
  peer = importlib.import_module(f"experiments.peers.{module}")
  run = peer.tags(str(tmp_path), "text", answers, **options)
  assert run(1)["training_seconds"] > 0
  found = tag_products.read_answers(tmp_path / "answers.npz", "test")
  assert found[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
