from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.data import values

anything = st.recursive(
  st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
  lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
  max_leaves=5,
)


def reason(read, value):
  with pytest.raises(values.BadValue) as caught:
    read(value)
  return caught.value.reason


@pytest.mark.parametrize(
  ("value", "expected"),
  [
    ("12", 12.0),
    (" 12.50 ", 12.5),
    ("-1.5e3", -1500.0),
    (".5", 0.5),
    ("0", 0.0),
    (7, 7.0),
    ("", None),
    (None, None),
  ],
)
def test_numbers(value, expected):
  assert values.read_number(value) == expected


@pytest.mark.parametrize(
  ("value", "expected"),
  [
    ("1,234.50", "not a number"),
    ("12 €", "not a number"),
    ("1_000", "not a number"),
    ("١٢", "not a number"),
    ("0x10", "not a number"),
    ("1" * 1_000_000, "not a number"),
    (True, "not a number"),
    ([1], "not a number"),
    ("nan", "not finite"),
    ("-Infinity", "not finite"),
    (math.nan, "not finite"),
    ("1e308", "too large"),
    ("1e999", "too large"),
    (math.inf, "too large"),
    (10**400, "too large"),
  ],
)
def test_numbers_refused(value, expected):
  assert reason(values.read_number, value) == expected


def test_a_price_is_not_negative():
  assert values.read_positive("0") == 0
  assert reason(values.read_positive, "-0.01") == "negative"


@pytest.mark.parametrize(
  ("value", "expected"),
  [
    ("881250949", 881250949),
    ("881250949.9", 881250949),
    (881250949.9, 881250949),
    # float32 would make this 964980480.
    ("964980499", 964980499),
    ("2024-05-01T12:30:00+02:00", 1714559400),
    ("2024-05-01T10:30:00Z", 1714559400),
    ("2024-05-01T10:30:00", 1714559400),
    ("2024-05-01", 1714521600),
    ("0", 0),
    ("", None),
    (None, None),
  ],
)
def test_times(value, expected):
  assert values.read_time(value) == expected


@pytest.mark.parametrize(
  ("value", "expected"),
  [
    ("-1", "before 1970"),
    ("1969-12-31T23:59:59Z", "before 1970"),
    ("4102444800", values.time_problem(4102444800)),
    ("99999999999999999", "after 2100"),
    ("yesterday", "not a time"),
    ("0001-01-01T00:00:00+14:00", "before 1970"),
    ("9" * 1_000_000, "not a time"),
    (math.nan, "not a time"),
    (True, "not a time"),
  ],
)
def test_times_refused(value, expected):
  assert reason(values.read_time, value) == expected


def test_milliseconds_are_told_not_guessed():
  assert "milliseconds" in reason(values.read_time, "964980499000")


@pytest.mark.parametrize(
  ("value", "expected"), [("00123", "00123"), (" a ", "a"), (7, "7")]
)
def test_ids(value, expected):
  assert values.read_id(value) == expected


@pytest.mark.parametrize(
  "value", ["", "  ", None, 1.0, True, [], "a\0b", "\ud800", "x" * 1001]
)
def test_ids_refused(value):
  reason(values.read_id, value)


@pytest.mark.parametrize(
  ("value", "expected"),
  [
    ("red| leather ||red", ("red", "leather")),
    (["a|b", "c"], ("a|b", "c")),
    ("", ()),
    (None, ()),
  ],
)
def test_tags(value, expected):
  assert values.read_tags(value) == expected


@pytest.mark.parametrize("value", [5, ["a", 5], {"a": 1}])
def test_tags_refused(value):
  assert reason(values.read_tags, value) == "not tags"


@pytest.mark.parametrize(
  ("value", "expected"),
  [(" Nord ", "Nord"), (3, "3"), (True, "true"), (math.nan, ""), (None, "")],
)
def test_categories(value, expected):
  assert values.read_category(value) == expected


@pytest.mark.parametrize("path", ["a.png", "i/a..b.png", "i\\a.png", "", "..."])
def test_inner_paths(path):
  assert values.read_inner_path(path) == path


@pytest.mark.parametrize(
  "path", ["/a", "..", "../a", "i/../../a", "i\\..\\a", "C:\\a", "c:a"]
)
def test_paths_that_lead_outside(path):
  assert reason(values.read_inner_path, path) == "outside the folder"


@given(anything)
def test_whatever_stands_there_is_read_or_refused(value):
  for read in (
    values.read_id,
    values.read_text,
    values.read_category,
    values.read_positive,
    values.read_time,
    values.read_tags,
    values.read_inner_path,
  ):
    try:
      result = read(value)
    except values.BadValue:
      continue
    if read is values.read_positive and result is not None:
      assert 0 <= result <= values.LARGEST_NUMBER
    if read is values.read_time and result is not None:
      assert 0 <= result < values.LATEST_TIME
