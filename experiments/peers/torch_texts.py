"""A text encoder of the BERT family in PyTorch, by Hugging Face's own classes.

Source: transformers, AutoTokenizer and AutoModel, and the pooling that
sentence-transformers writes down: the mean over the tokens, at length 1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from experiments.benchmarks import child
from experiments.benchmarks.child import Run
from experiments.peers.drawn_texts import checksum, draw

BATCH = 64  # texts of a batch


def encoding(folder: str, texts: int, longest: int, max_tokens: int) -> Run:
  """Texts of like length together, as sentence-transformers sorts them.

  Work is texts, from words to vectors.

  Args:
    folder: config.json, model.safetensors and tokenizer.json.
  """
  torch.set_num_threads(child.threads())
  tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
  model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
  drawn = draw(texts, longest)

  @torch.inference_mode()
  def encode() -> np.ndarray:
    order = sorted(range(texts), key=lambda place: -len(drawn[place]))
    vectors = np.empty((texts, model.config.hidden_size), np.float32)
    for start in range(0, texts, BATCH):
      places = order[start : start + BATCH]
      read = tokenizer(
        [drawn[place] for place in places],
        padding=True,
        truncation=True,
        max_length=max_tokens,
        return_tensors="pt",
      )
      states = model(**read).last_hidden_state
      mask = read["attention_mask"][:, :, None].to(states.dtype)
      mean = (states * mask).sum(1) / mask.sum(1)
      vectors[places] = functional.normalize(mean, dim=1).numpy()
    return vectors

  def run(passes: int) -> dict[str, float]:
    for _ in range(passes):
      vectors = encode()
    return {"work": passes * texts, "found": checksum(vectors)}

  return run
