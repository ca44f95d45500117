"""A market of clip art: tags of a drawing by its words, artist and picture.

What: 5,181 drawings of the Open Clip Art Library; whole series of drawings, a
  seventh of them each, are kept for valid and for test. Read are title and
  description, the artist, and the picture. Category and shelf, which are paths
  of the library's folders, are NOT read: whoever filed a drawing under
  'animals/bugs' has tagged it.
Source: hashed n-grams (fastText, Joulin et al. 2016), a small ResNet (He et al.
  2016), late fusion, and a loss over all tags.
Run: python -m experiments.train --config=configs/clipart.py \
  --config.data.folder=FOLDER --workdir=runs/clipart
Expect: pictures alone far above popularity; what they add to words and artist
  is within the noise of training, see docs/products.md.
Measured: P@5 .2642 (.2455 to .2836) on test, pictures alone .0985, popularity
  .0276; 88 s of training on two shared cores (commit 59a80a2, 2026-11-25).
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  base.tags_of_products(config)
  config.name = "clipart"
  config.data.source = "openclipart"
  config.data.cold_items = 0.15
  config.data.min_tag_items = 2
  config.data.ngram_buckets = 16384
  config.data.image_size = 32

  config.model.product = ("ngrams", "brand", "image")
  config.model.image = "cnn"
  config.model.fusion = "sum"
  config.model.modality_dropout = 0.2
  config.model.width = 192
  config.model.hidden = 512
  config.model.layers = 1
  config.model.heads = 4
  config.model.dropout = 0.2

  config.objective.tags = "multilabel_sigmoid"

  config.optimizer.learning_rate = 2e-3
  config.optimizer.content_learning_rate = 0.02
  config.optimizer.beta2 = 0.99

  config.pipeline.batch_rows = 32

  config.train.steps = 1000
  config.train.evaluate_every = 200
  config.checkpoint.save_every = 200

  if variant == "tiny":
    base.shrink(config)
  return config
