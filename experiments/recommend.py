"""Asks a trained model; answers are JSON, one line for each question.

Run: python -m experiments.recommend --workdir=runs/quickstart --person=196

--history=FILE asks for somebody the model never saw: a JSONL file with a line
for each event, oldest first, such as {"title": "Fargo"} or {"id": "100"}, each
with an optional "time" (seconds since 1970 UTC); an empty file is a person
without history. --requests=FILE asks many questions: a line for each, such as
{"person": "196"} or {"history": [{"title": "Fargo"}], "time": 880000000}.
Without any of them the question is that of a person without history.
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
_TOP_K = flags.DEFINE_integer("top_k", 10, "length of a list", lower_bound=1)
_TARGETS = flags.DEFINE_list(
  "targets", ["items"], "items, tags or items,tags: what is recommended"
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
    top_k=_TOP_K.value,
    targets=_TARGETS.value,
    exclude_seen=_EXCLUDE_SEEN.value,
    checkpoint=_CHECKPOINT.value,
  )


if __name__ == "__main__":
  command.run(main)
