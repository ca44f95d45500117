"""Every setting of a run: its meaning, unit and when it applies.

What: the values all experiments start from. An experiment file calls
`get_config` here and changes values; it never adds a key.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The defaults: a SASRec-size transformer on MovieLens-100K."""
  config = ml_collections.ConfigDict()
  config.name = "base"  # shown in tables and file names
  config.task = "next_item"  # given a history, rank products or their tags;
  # 'tag_item': given a product by its content, rank tags; or 'tag_post': given
  # a person, a product and the moment, rank the tags this person gives it
  config.seed = 0  # parameters, order of batches, dropout, negatives

  # Raw files → a prepared data set.
  data = config.data = ml_collections.ConfigDict()
  data.source = "movielens_100k"  # a name of registries.py: SOURCES
  data.folder = ""  # where the files are; '' where the source finds its own
  data.cache_dir = ""  # prepared data, downloads and compiled programs; '':
  # ~/.cache/tagrec_jax
  data.min_rating = 0.0  # events rated lower are left out; 0: all are kept
  data.min_person_events = 5  # k-core: repeated until all three limits hold
  data.min_item_events = 1
  data.min_tag_posts = 1  # tags that people give in fewer posts are taken out
  # of them; a post left without any goes. Unlike min_tag_items it counts all
  # posts, held-out ones too, as published p-cores do
  data.max_bad_rows = 0.1  # fraction of refused rows at which reading stops
  data.split = "leave_one_out"  # last event test, last but one valid; or
  # 'global_time': the last events of the whole data set are held out
  data.held_out_fraction = 0.1  # global_time only: of events, for each part
  data.train_on_valid = False  # after all choices are made: what was valid
  # trains too, so nothing is asked until the end, and the last step is kept
  data.text_vocabulary = 5000  # most frequent words of titles; 0: no text
  data.text_words = 8  # words kept of each product's text
  data.catalogue = "taken"  # products of training: those in training events;
  # or 'described': all that the source describes, for 'tag_item'
  data.cold_items = 0.0  # fraction of products kept out of training for valid,
  # and again for test; whole groups, by a hash of their name
  data.cold_people = 0.0  # fraction of people none of whose events train
  data.cold_tags = 0.0  # fraction of tags that no product of training has
  data.min_tag_items = 1  # tags of fewer products of training are left out,
  # and tags that training does not meet, of fewer new products; a product to
  # which somebody gave a tag counts like one that has it
  data.ngram_buckets = 0  # rows for n-grams of titles and descriptions, those
  # of most products, such as 65536; 0: no feature 'ngrams'
  data.ngram_width = 192  # n-grams kept of each product, the rarest
  data.image_size = 0  # pixels of a side, to which pictures are brought; 0: no
  # feature 'image'
  data.audio_seconds = 0.0  # of each clip, its beginning; 0: no feature 'audio'
  data.pretrained_text = ""  # folder of a BERT-like encoder as Hugging Face
  # writes it: adds the feature 'pretrained', vectors it gives to each text
  data.pretrained_tokens = 64  # of each text that it reads
  data.place_km = ()  # sides of cells, such as (5.0, 50.0): 'latitude' and
  # 'longitude' of the source 'folder' become the classes 'place_5km' and
  # 'place_50km' of moments, people and products; (): they are not read
  data.shop_people = 2000  # of the made-up shop of source 'storefront'
  data.shop_items = 500
  data.shop_tags = 20  # kinds of product; four parts of the day are tags too
  data.shop_events = 20  # of each person
  data.shop_posts = False  # people tag what they buy, and products suit devices

  # Prepared data → batches of packed rows.
  pipeline = config.pipeline = ml_collections.ConfigDict()
  pipeline.batch_rows = 16  # rows in a global batch
  pipeline.row_length = 256  # tokens in a row; several people share it, and it
  # is filled best if it is several times max_history
  pipeline.max_history = 50  # newest events a question can look back on
  pipeline.long_histories = "newest"  # train on the newest max_history
  # events, or 'chunks': on all of them, cut at places that change each epoch
  pipeline.begin_token = True  # a token before the first event: it answers
  # for people without history, and makes the first event a target too
  pipeline.product_tags = 32  # tag_post only: tags a question is told that
  # others gave to its product in training, the most frequent

  # The encoder-decoder.
  model = config.model = ml_collections.ConfigDict()
  model.history = "transformer"  # a name of registries.py: HISTORY_ENCODERS
  model.width = 64  # D
  model.layers = 2
  model.heads = 2  # transformer only
  model.hidden = 256  # width inside a feed-forward layer
  model.dropout = 0.2  # probability, on embeddings and every block's output
  model.activation = "gelu"  # 'relu', 'gelu' or 'swiglu'
  model.positions = "learned"  # 'learned', 'rotary' or 'none'
  model.product = ("id",)  # what makes a product vector: 'id' and names of
  # the data set's product features ('tags', 'text', 'numbers', ...)
  model.text = "bag"  # reads 'text'; names of registries.py: TEXT_ENCODERS
  model.image = "cnn"  # reads 'image'; IMAGE_ENCODERS
  model.audio = "cnn"  # reads 'audio'; AUDIO_ENCODERS
  model.fusion = "sum"  # of a vector for each feature; or 'transformer' over
  # the tokens of all
  model.fusion_layers = 1  # 'transformer' only
  model.modality_dropout = 0.0  # probability that a product lacks a feature
  # while training, so that any subset of them will do later
  model.members = 1  # of a tagger (tag_item): models that learn side by side
  # and answer together; memory and time grow as many times
  model.neighbours = 0  # of a tagger: products whose tags are known, and that
  # the first member holds for most alike, that vote for tags; 0: none, or 100
  model.neighbour_weight = 0.5  # w of an answer: (1 - w) of the logarithm of
  # what the members say, and w of that of the votes
  model.neighbour_temperature = 0.04  # a vote weighs exp(cosine / this)
  model.tag_vectors = "learned"  # one a tag; 'text': made of the tag's own
  # text, also for new tags; 'both', with a gate for each tag
  model.tag_dropout = 0.2  # 'text' and 'both': probability that a tag lacks
  # what is learned of it alone while training, as new tags always do
  model.moment = ()  # context that corrects interest: 'hour', 'weekday', ...
  model.person = ()  # what is known of the person: 'gender', ...; or 'id', a
  # vector for each, for tag_post only
  model.context_dropout = 0.1  # probability that a question has no context,
  # so that the model also answers where moment and person are not known
  model.tie_products = True  # rank with the vectors that read the history
  model.score = "dot"  # or 'cosine': both sides at length 1
  model.temperature = 1.0  # scores are divided by it
  model.interests = 1  # vectors a person has where products are asked for; a
  # product's score is that of the one which suits it best
  model.ages = False  # whether events are read with how long before the moment
  # asked they were; attention also weighs them by it
  model.recent_events = 8  # 'long_short' only: what the short interest reads
  model.recall = True  # tag_post only: whether a question attends to earlier
  # posts, read by the history encoder, besides copying tags from them
  model.memory_weight = 0.0  # w of an answer for products: (1 - w) of what the
  # network says and w of the transitions counted in training; 0: no memory
  model.memory_window = 10  # later events that count as following
  model.memory_reach = 0.0  # an event d places later counts exp(-(d - 1) /
  # reach); 0: 1 / d
  model.memory_back = 0.0  # what an event counts as following a later one
  model.memory_discount = 0.0  # what follows counts / (how often it follows
  # anything) ** discount
  model.memory_smoothing = 30.0  # pseudo-events that go to popular products
  model.memory_decay = 0.5  # weight of an event relative to the one after it
  model.decoder = "ranking"  # one score for each entry of a catalogue; or
  # 'sequence': products are written as codes (next_item), tags one after
  # another until the set is complete (tag_item), and found by beam search
  model.decoder_layers = 1  # 'sequence' only, as all up to code_vectors
  model.beams = 64  # sequences kept; no other product can be recommended
  model.tags_written = 16  # the most tags of a set
  model.code_levels = 3  # codes of a product, besides one that tells apart
  # those whose codes are the same
  model.code_size = 64  # codes of each level
  model.code_vectors = ("events",)  # what codes are made of: who follows whom
  # in training ('events'), or features of products ('tags', 'ngrams', ...),
  # which give codes to new products too
  model.compute_dtype = "float32"  # of matmuls; parameters stay float32
  model.scan_layers = False  # blocks of transformers are turns of a loop: the
  # program does not grow with `layers`, and with fsdp the weights of one block
  # at a time are whole; a checkpoint has either the one or the other
  model.remat = "none"  # what of a transformer's block is computed again for
  # its gradient instead of kept: 'none', 'dots': all but the outputs of its
  # linear maps, 'block': all of it

  # What is minimised: items_weight · loss + tags_weight · loss.
  objective = config.objective = ml_collections.ConfigDict()
  objective.question = "next"  # each event, from those before it; or 'masked':
  # events hidden at random, from all others (transformer only), for a run that
  # another begins with, see train.init_from
  objective.masked_rate = 0.2  # fraction of events that are hidden
  objective.items = "softmax"  # a name of registries.py: ITEM_OBJECTIVES
  objective.items_weight = 1.0
  objective.tags = "multilabel_softmax"  # the tags of the next product
  objective.tags_weight = 0.0
  objective.negatives = 256  # drawn for each batch; sampled losses only
  objective.gbce_calibration = 0.75  # t of gSASRec; gbce only
  objective.kernel = "xla"  # what computes a softmax over the whole catalogue;
  # or 'pallas': a kernel that keeps scores out of memory, on TPUs only
  objective.label_smoothing = 0.0  # softmax only
  objective.asymmetric_gamma = 2.0  # asymmetric only: how little easy wrong
  # tags count
  objective.asymmetric_margin = 0.0  # asymmetric only: a wrong tag at this
  # probability costs nothing
  objective.propensity_weight = 0.0  # multi-label losses: 0: all right tags
  # count alike; 1: rare ones as much more as they are overlooked
  objective.uncopied_weight = 1.0  # tag_post only: of the loss of a tag that
  # is not copied from earlier posts, beside that of one that may be
  objective.contrast_weight = 0.0  # of a loss that lets two views of a history
  # come to the same interest, unlike those of other people in its row; 0: none
  objective.contrast_temperature = 0.1  # of the cosine of two interests
  objective.contrast_views = ("mask",)  # what the second view suffers besides
  # other dropout: 'mask', 'crop', 'reorder' of events
  objective.contrast_rate = 0.2  # fraction of a history that it touches

  optimizer = config.optimizer = ml_collections.ConfigDict()
  optimizer.name = "adamw"  # a name of registries.py: OPTIMIZERS
  optimizer.tables = "dense"  # 'lazy': products that a step does not read keep
  # their rows and moments, so that a step costs the same for any catalogue;
  # for losses that draw negatives, without ema_decay
  optimizer.learning_rate = 1e-3  # the highest the schedule reaches
  optimizer.content_learning_rate = 0.0  # of Adagrad by rows, on tables of
  # n-grams, words and classes of products; 0: they are trained like all else
  optimizer.schedule = "constant"  # after warm-up; 'cosine', 'linear': to 0
  optimizer.warmup_steps = 0
  optimizer.weight_decay = 0.0  # decoupled; not on biases and norms
  optimizer.beta1 = 0.9
  optimizer.beta2 = 0.98
  optimizer.clip_norm = 0.0  # of the whole gradient; 0: never
  optimizer.max_loss_rise = 0.0  # a step whose loss is more than 1 + this many
  # times what it was lately is not applied, from the 20th on; 0: all are that
  # are finite. See train.max_roll_backs
  optimizer.ema_decay = 0.0  # evaluate averaged parameters; 0: the last ones

  train = config.train = ml_collections.ConfigDict()
  train.steps = 1000  # optimizer updates
  train.log_every = 20  # steps
  train.evaluate_every = 200  # steps, on valid
  train.patience = 0  # evaluations without a better `watch`; 0: never stop
  train.watch = "ndcg@10"  # chooses the checkpoint that is kept as best
  train.max_skipped_steps = 10  # non-finite steps in a row before giving up
  train.max_roll_backs = 0  # 0: after a step with a loss above max_loss_rise
  # the next batch is taken; or times that a run may go back to its newest
  # checkpoint instead, and on from there with the batch after that of the step:
  # those from the checkpoint to it are passed over. Each call is waited for
  train.steps_per_call = 1  # steps in one compiled call; divides `steps` and
  # all intervals. Pays where a step takes less than 2 ms (8: 1.9 times the
  # speed at 1 ms, on a CPU). On a CPU other steps get up to a quarter slower:
  # a loop runs on fewer threads. Signals and errors wait for a call's end
  train.accumulate_steps = 1  # parts of a batch that are taken one after
  # another before an update: as much memory as a batch that is so many times
  # smaller, and the numbers of the whole one
  train.init_from = ""  # folder of a run on the same data, whose best
  # parameters are those this one starts from; '': random ones

  sharding = config.sharding = ml_collections.ConfigDict()
  sharding.backend = "jit"  # or 'pmap': plain data parallelism
  sharding.preset = "data"  # a name of sharding/rules.py: which axes split
  sharding.data = -1  # devices along each mesh axis; -1: all that are left
  sharding.fsdp = 1
  sharding.sequence = 1  # splits the positions of each row, for long ones: a
  # transformer asked for the next product; divides pipeline.row_length
  sharding.tensor = 1

  checkpoint = config.checkpoint = ml_collections.ConfigDict()
  checkpoint.save_every = 200  # steps
  checkpoint.keep = 2  # newest ones; the best one is kept besides

  evaluation = config.evaluation = ml_collections.ConfigDict()
  evaluation.protocol = "strict"  # a name of evaluation/protocols.py
  evaluation.cutoffs = (1, 5, 10, 20)  # K of recall@K, ndcg@K, mrr@K
  evaluation.batch_people = 256  # people, or products, scored at a time
  evaluation.approximate_recall = 0.0  # of the best that an approximate search
  # finds for lists of products that people are given; quicker on a TPU, exact
  # elsewhere. Metrics are exact, and evaluate tells what it found; 0: exact
  evaluation.max_valid_people = 0  # of them, while training; 0: all
  evaluation.bootstrap_samples = 1000  # for 95 % intervals; 0: none
  evaluation.baselines = ("popularity", "item_knn", "markov")

  return config


def tags_of_products(config: ml_collections.ConfigDict) -> None:
  """What all experiments with the task 'tag_item' have in common."""
  config.task = "tag_item"
  config.data.catalogue = "described"
  config.data.cold_items = 0.1
  config.objective.items_weight = 0.0
  config.objective.tags_weight = 1.0
  config.optimizer.schedule = "cosine"
  config.train.watch = "precision@5"
  config.evaluation.cutoffs = (1, 3, 5, 10)
  config.evaluation.batch_people = 512


def shrink(config: ml_collections.ConfigDict) -> None:
  """Makes any experiment end in under a minute on a CPU, for ':tiny'."""
  for key, most in {"people": 2000, "items": 500, "tags": 20}.items():
    name = f"shop_{key}"
    config.data[name] = min(config.data[name], most)
  config.model.width = 16
  config.model.hidden = 32
  config.model.layers = 1
  config.model.heads = 2
  config.pipeline.max_history = min(config.pipeline.max_history, 32)
  config.pipeline.row_length = 64
  config.data.ngram_buckets = min(config.data.ngram_buckets, 4096)
  config.data.image_size = min(config.data.image_size, 16)
  config.pipeline.batch_rows = 8
  config.optimizer.warmup_steps = min(config.optimizer.warmup_steps, 5)
  config.train.steps = 40
  config.train.steps_per_call = 1
  config.train.accumulate_steps = 1
  config.train.log_every = 5
  config.train.evaluate_every = 20
  config.checkpoint.save_every = 20
  config.evaluation.max_valid_people = 256
  config.evaluation.bootstrap_samples = 100
  config.model.members = 1
