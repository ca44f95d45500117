"""Texts: vectors of a pretrained encoder, texts a second.

The same folder of weights, the same texts of mixed length, from words to one
vector a text; ours and PyTorch's have to be equal.
"""

from __future__ import annotations

import math

from experiments.benchmarks.bench import Bench
from experiments.benchmarks.child import Run
from experiments.benchmarks.contest import TUNED_ALLOCATOR, Contestant, Score
from experiments.benchmarks.result import Result, faster
from experiments.peers.drawn_texts import checksum, draw
from tagrec_jax.core import host
from tagrec_jax.core.errors import TagrecError, UserError

TEXTS, LONGEST, TOKENS = 512, 80, 128
_OURS, _TORCH = "tagrec_jax", "PyTorch transformers"


def run(bench: Bench) -> Result:
  """PyTorch's own classes, and ours.

  Raises:
    UserError: if no folder of weights was named.
  """
  if not bench.pretrained:
    raise UserError(
      "--pretrained",
      "found ''",
      "a folder with config.json, model.safetensors and tokenizer.json",
      "name one, or leave 'text_encoding' out of --parts",
    )
  size = {
    "folder": bench.pretrained,
    "texts": TEXTS,
    "longest": LONGEST,
    "max_tokens": TOKENS,
  }
  scores = bench.contest(
    [
      Contestant(
        _TORCH,
        "experiments.peers.torch_texts:encoding",
        size,
        TUNED_ALLOCATOR,
      ),
      Contestant(_OURS, "experiments.benchmarks.text_encoding:encoding", size),
    ]
  )
  check_agreement(scores)
  return Result(
    title="Texts encoded",
    unit="texts/s",
    conditions={"texts": TEXTS, "words": f"3 to {LONGEST}", "tokens": TOKENS},
    groups=[scores],
    targets=faster(scores, _OURS, _TORCH, 1.0),
  )


def encoding(folder: str, texts: int, longest: int, max_tokens: int) -> Run:
  """`serving.texts.TextEncoder` itself; see `peers.torch_texts`."""
  from tagrec_jax.serving.texts import TextEncoder

  host.keep_large_blocks()
  encoder = TextEncoder(folder, max_tokens)
  drawn = draw(texts, longest)

  def run(passes: int) -> dict[str, float]:
    for _ in range(passes):
      vectors = encoder(encoder.tokens(drawn))
    return {"work": passes * texts, "found": checksum(vectors)}

  return run


def check_agreement(scores: list[Score]) -> None:
  """Raises TagrecError unless the vectors are equal."""
  found = {score.name: score.turns[-1]["found"] for score in scores}
  if not math.isclose(min(found.values()), max(found.values()), rel_tol=1e-4):
    raise TagrecError("text_encoding", f"checksums {found}", "the same vectors")
