"""Any bytes for one reader: what is not read must be told, never crash.

fuzz_readers.py csv|jsonl|parquet|png FOLDER [flags of libFuzzer]

Atheris changes the bytes so that they reach new branches of `data/`. Run by
test_fuzz.py; needs the extra [fuzz].
"""

from __future__ import annotations

import collections
import pathlib
import sys

import atheris

with atheris.instrument_imports(include=["tagrec_jax.data"]):
  from tagrec_jax.core.errors import TagrecError
  from tagrec_jax.data.pictures import read_pictures
  from tagrec_jax.data.sources.folder import read_items

KIND, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])


def try_reader(content: bytes) -> None:
  path = FOLDER / f"items.{KIND}"
  path.write_bytes(content)
  if KIND == "png":
    read_pictures([str(path)], 8, collections.Counter())
    return
  try:
    list(read_items(str(path)))
  except TagrecError as error:
    assert "\n" not in str(error), error


if __name__ == "__main__":
  atheris.Setup([sys.argv[0], *sys.argv[3:]], try_reader)
  atheris.Fuzz()
