"""What a run was extended by is read as it was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.errors import StorageError
from tagrec_jax.data.records import Item, Tag
from tagrec_jax.run import additions
from tagrec_jax.run.additions import Additions

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
names = st.lists(words, max_size=3).map(tuple)
items = st.builds(
  Item,
  id=words,
  title=words,
  description=words,
  tags=names,
  numbers=st.dictionaries(words, st.floats(allow_nan=False), max_size=2),
  categories=st.dictionaries(words, words, max_size=2),
  sets=st.dictionaries(words, names, max_size=2),
  image=words,
  audio=words,
  group=words,
)
tags = st.builds(Tag, id=words, description=words)
added = st.builds(
  Additions,
  items=st.lists(items, max_size=3).map(tuple),
  tags=st.lists(tags, max_size=3).map(tuple),
)


@given(wanted=added)
def test_as_it_was_written(tmp_path_factory, wanted):
  folder = tmp_path_factory.mktemp("run", numbered=True)
  additions.write(folder, wanted)
  assert additions.read(folder) == wanted


def test_a_run_that_never_was_extended(tmp_path):
  assert additions.read(tmp_path) == Additions()


def test_later_ones_come_after():
  first = Additions((Item("a"),), (Tag("x"),))
  later = Additions((Item("b"),))
  assert first.then(later) == (Additions((Item("a"), Item("b")), (Tag("x"),)))


@pytest.mark.parametrize(
  "text",
  ["{", '{"tag": {"name": "x"}}', '{"item": {"id": "a"}}', "7", "\xff"],
)
def test_another_file_is_an_error(tmp_path, text):
  additions.write(tmp_path, Additions((Item("a"),)))
  (file,) = tmp_path.iterdir()
  file.write_bytes(text.encode("latin-1"))
  with pytest.raises(StorageError, match="cannot be read"):
    additions.read(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
  with pytest.raises(StorageError, match="cannot be written"):
    additions.write(tmp_path / "no", Additions())
