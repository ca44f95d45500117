"""RecBole's SASRec, evaluated by RecBole's own trainer.

Source: recbole 1.2.1 (Zhao et al., CIKM 2021), its documented interface. It
needs an interpreter of its own, with numpy < 2.
"""

from __future__ import annotations

import pathlib

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.sequential_recommender import SASRec
from recbole.trainer import Trainer
from recbole.utils import init_seed

from experiments.benchmarks import child
from experiments.benchmarks.child import Run

NAME = "events"


def evaluation(folder: str) -> Run:
  """Ranks everyone's test product; work is people.

  Args:
    folder: of `evaluation.write_recbole`.
  """
  torch.set_num_threads(child.threads())
  config = Config(model="SASRec", dataset=NAME, config_dict=_settings(folder))
  init_seed(config["seed"], reproducibility=True)
  dataset = create_dataset(config)
  _, _, test = data_preparation(config, dataset)
  model = SASRec(config, dataset).to(config["device"])
  trainer = Trainer(config, model)
  people = len(test.dataset)

  def run(passes: int) -> dict[str, float]:
    for _ in range(passes):
      found = trainer.evaluate(test, load_best_model=False)
    return {"work": passes * people, "recall@20": found["recall@20"]}

  return run


def _settings(folder: str) -> dict[str, object]:
  """The model of the other contestants; the rest is RecBole's default."""
  return {
    "data_path": folder,
    "checkpoint_dir": str(pathlib.Path(folder, "recbole")),
    "show_progress": False,
    "use_gpu": False,
    "log_wandb": False,
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "TIME_FIELD": "timestamp",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
    "MAX_ITEM_LIST_LENGTH": 50,
    "n_layers": 2,
    "n_heads": 2,
    "hidden_size": 64,
    "inner_size": 256,
    "hidden_dropout_prob": 0.2,
    "attn_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "loss_type": "CE",
    "train_neg_sample_args": None,
    "eval_args": {
      "split": {"LS": "valid_and_test"},
      "order": "TO",
      "mode": "full",
      "group_by": None,
    },
    "metrics": ["Recall", "NDCG"],
    "topk": [10, 20],
    "valid_metric": "NDCG@10",
  }
