"""Asks a trained model; answers are JSON, one line for each question.

Run: python -m experiments.recommend --workdir=runs/quickstart --person=196

--history=FILE asks for somebody the model never saw: a JSONL file with a line
for each event, oldest first, such as {"title": "Fargo"} or {"id": "100"}, each
with an optional "time" (seconds since 1970 UTC); an empty file is a person
without history. --requests=FILE asks many questions: a line for each, such as
{"person": "196"} or {"history": [{"title": "Fargo"}], "time": 880000000}, with
what else is known of the moment in "context", such as {"device": "phone"}, and
the place asked from as {"latitude": 52.5, "longitude": 13.4}.
Without any of them the question is that of a person without history.

--item=ID (or a title) asks a run of the task 'tag_post' for the tags that the
person gives this product; an event of a history has the "tags" that were given,
and a line of --requests names the product in "item".

--products=FILE asks a run of the task 'tag_item' for the tags of products: a
table like `items` of the source 'folder'. --top_k=auto gives as many tags as
suits the products of valid best.

Of products and of posts, --allowed=NAME,PATTERN gives no other tags;
--exclusive='role::*,suite::*' at most one of those that fit a pattern.
"""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from experiments import command
from tagrec_jax.core import versions

_WORKDIR = flags.DEFINE_string(
  "workdir", None, "the folder of the run", required=True
)
_PERSON = flags.DEFINE_string("person", "", "id of a person of the data set")
_HISTORY = flags.DEFINE_string("history", "", "JSONL: one event a line")
_REQUESTS = flags.DEFINE_string("requests", "", "JSONL: one question a line")
_TIME = flags.DEFINE_integer(
  "time", None, "the moment asked, seconds since 1970 UTC; default: not known"
)
_CONTEXT = flags.DEFINE_list(
  "context",
  [],
  "what else is known of the moment, such as device=phone or"
  " latitude=52.5,longitude=13.4",
)
_ITEM = flags.DEFINE_string(
  "item", "", "id or title of the product a person tags"
)
_PRODUCTS = flags.DEFINE_string(
  "products", "", "CSV, JSONL or Parquet: products to be tagged"
)
_TOP_K = flags.DEFINE_string(
  "top_k", "10", "length of a list, or for --products 'auto'"
)
_ALLOWED = flags.DEFINE_list(
  "allowed", ["*"], "names and patterns of tags that may be given"
)
_EXCLUSIVE = flags.DEFINE_list(
  "exclusive", [], "patterns of tags that exclude each other"
)
_TARGETS = flags.DEFINE_list(
  "targets",
  [],
  "items, tags or items,tags: what is recommended; default: items to people",
)
_EXCLUDE_SEEN = flags.DEFINE_bool(
  "exclude_seen", True, "leave out what the history holds"
)
_CHECKPOINT = flags.DEFINE_string(
  "checkpoint", "best", "'best', 'latest', or a step"
)


def main(argv: Sequence[str]) -> None:
  """Writes the answers to stdout."""
  del argv
  versions.check()
  from tagrec_jax.run.recommend import recommend

  recommend(
    _WORKDIR.value,
    person=_PERSON.value,
    history=_HISTORY.value,
    requests=_REQUESTS.value,
    time=_TIME.value,
    context=_CONTEXT.value,
    products=_PRODUCTS.value,
    item=_ITEM.value,
    top_k=_TOP_K.value,
    allowed=_ALLOWED.value,
    exclusive=_EXCLUSIVE.value,
    targets=_TARGETS.value,
    exclude_seen=_EXCLUDE_SEEN.value,
    checkpoint=_CHECKPOINT.value,
  )


if __name__ == "__main__":
  command.run(main)
