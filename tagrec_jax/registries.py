"""The names that a config may use, and what stands behind each.

A module behind a name is loaded when the name is used, so a config is checked
in full before JAX starts.
"""

from __future__ import annotations

from tagrec_jax.core.registry import Registry

SOURCES = Registry(
  "config.data.source",
  {
    "movielens_100k": "tagrec_jax.data.sources.movielens_100k:MovieLens100K",
    "movielens": "tagrec_jax.data.sources.movielens:MovieLensFolder",
    "movielens_posts": "tagrec_jax.data.sources.movielens:MovieLensPosts",
    "movielens_tfds": "tagrec_jax.data.sources.movielens_tfds:MovieLensTFDS",
    "hetrec_movielens": (
      "tagrec_jax.data.sources.hetrec_movielens:HetRecMovieLens"
    ),
    "s3rec": "tagrec_jax.data.sources.amazon_s3rec:S3Rec",
    "debian_debtags": "tagrec_jax.data.sources.debian_debtags:DebianDebtags",
    "steam": "tagrec_jax.data.sources.steam:Steam",
    "openclipart": "tagrec_jax.data.sources.openclipart:OpenClipart",
    "folder": "tagrec_jax.data.sources.folder:Folder",
    "storefront": "tagrec_jax.data.sources.storefront:Storefront",
  },
)
HISTORY_ENCODERS = Registry(
  "config.model.history",
  {
    "transformer": "tagrec_jax.models.encoder.transformer:TransformerHistory",
    "gru": "tagrec_jax.models.encoder.gru:GRUHistory",
    "linear": "tagrec_jax.models.encoder.recurrence:LinearHistory",
    "long_short": "tagrec_jax.models.encoder.long_short:LongShortHistory",
    "multi_hot": "tagrec_jax.models.encoder.multi_hot:MultiHotHistory",
  },
)
ITEM_OBJECTIVES = Registry(
  "config.objective.items",
  {
    "softmax": "tagrec_jax.objectives.softmax:Softmax",
    "sampled_softmax": "tagrec_jax.objectives.sampled_softmax:SampledSoftmax",
    "gbce": "tagrec_jax.objectives.gbce:GBCE",
    "bpr": "tagrec_jax.objectives.pairwise:BPR",
  },
)
TEXT_ENCODERS = Registry(
  "config.model.text",
  {
    "bag": "tagrec_jax.models.encoder.plain:SetVector",
    "transformer": "tagrec_jax.models.encoder.text:TransformerText",
    "bert": "tagrec_jax.models.encoder.bert:BertText",
  },
)
IMAGE_ENCODERS = Registry(
  "config.model.image",
  {
    "cnn": "tagrec_jax.models.encoder.image:ResNetImage",
    "vit": "tagrec_jax.models.encoder.image:ViTImage",
  },
)
AUDIO_ENCODERS = Registry(
  "config.model.audio",
  {
    "cnn": "tagrec_jax.models.encoder.audio:CNNAudio",
    "transformer": "tagrec_jax.models.encoder.audio:TransformerAudio",
  },
)
TAG_OBJECTIVES = Registry(
  "config.objective.tags",
  {
    "multilabel_softmax": "tagrec_jax.objectives.multilabel:MultilabelSoftmax",
    "multilabel_sigmoid": "tagrec_jax.objectives.multilabel:MultilabelSigmoid",
    "asymmetric": "tagrec_jax.objectives.multilabel:Asymmetric",
    "decoupled_softmax": "tagrec_jax.objectives.multilabel:DecoupledSoftmax",
  },
)

OPTIMIZERS = Registry(
  "config.optimizer.name",
  {
    name: f"tagrec_jax.training.optimizer:{name}"
    for name in ("adam", "adamw", "adagrad", "lion", "sgd", "adafactor")
  },
)
ITEM_BASELINES = Registry(
  "config.evaluation.baselines",
  {
    "popularity": "tagrec_jax.models.baselines.popularity:Popularity",
    "recent_popularity": (
      "tagrec_jax.models.baselines.popularity:RecentPopularity"
    ),
    "item_knn": "tagrec_jax.models.baselines.item_knn:ItemKNN",
    "markov": "tagrec_jax.models.baselines.markov:Markov",
  },
)
TAG_BASELINES = Registry(
  "tag baselines",
  {
    "tag_popularity": "tagrec_jax.models.baselines.tags:TagPopularity",
    "person_tag_popularity": (
      "tagrec_jax.models.baselines.tags:PersonTagPopularity"
    ),
  },
)
PRODUCT_BASELINES = Registry(
  "product baselines",
  {
    "tag_popularity": "tagrec_jax.models.baselines.tags:ProductTagPopularity",
    "text_knn": "tagrec_jax.models.baselines.content:TextKNN",
    "tag_text_similarity": (
      "tagrec_jax.models.baselines.content:TagTextSimilarity"
    ),
  },
)

POST_BASELINES = Registry(
  "post baselines",
  {
    "mp": "tagrec_jax.models.baselines.posts_popular:MostPopular",
    "mp_u": "tagrec_jax.models.baselines.posts_popular:MostPopularOfPerson",
    "mp_r": "tagrec_jax.models.baselines.posts_popular:MostPopularOfProduct",
    "mp_ur": "tagrec_jax.models.baselines.posts_popular:MostPopularMixture",
    "bll_c": "tagrec_jax.models.baselines.base_level:BaseLevel",
    "adapted_pagerank": (
      "tagrec_jax.models.baselines.folkrank:AdaptedPageRank"
    ),
    "folkrank": "tagrec_jax.models.baselines.folkrank:FolkRank",
    "pitf": "tagrec_jax.models.baselines.pitf:PITF",
    "pitf_bll_c": "tagrec_jax.models.baselines.pitf:WithBaseLevel",
  },
)
