"""The stream of rows asks everything once an epoch and wastes little."""

import dataclasses

import numpy as np
import pytest

from tagrec_jax.data import epochs
from tagrec_jax.data.epochs import RowStream, Slices
from tests.data.made import SETTINGS


def stream(lengths, row_length, max_history, long="newest", seed=0):
  ends = np.cumsum(lengths)
  settings = dataclasses.replace(
    SETTINGS,
    row_length=row_length,
    max_history=max_history,
    long_histories=long,
  )
  return RowStream(ends - lengths, ends, settings, seed)


def events(slices: Slices) -> np.ndarray:
  return np.concatenate(
    [np.arange(a, b) for a, b in zip(slices.first, slices.last, strict=True)]
  )


def beauty_like() -> np.ndarray:
  """Most people have few events."""
  random = np.random.default_rng(0)
  return np.minimum(2 + random.geometric(0.25, 20_000), 200)


def long_histories() -> np.ndarray:
  """Most people have more events than a row has room for."""
  random = np.random.default_rng(0)
  return random.lognormal(4.2, 1.0, 2000).astype(np.int64) + 1


@pytest.mark.parametrize(
  ("lengths", "row_length", "max_history", "long"),
  [
    (beauty_like(), 64, 50, "newest"),
    (beauty_like(), 128, 50, "newest"),
    (beauty_like(), 256, 50, "chunks"),
    (long_histories(), 128, 100, "chunks"),
    (long_histories(), 256, 100, "chunks"),
    (long_histories(), 64, 50, "chunks"),
    (np.full(2000, 50), 64, 50, "chunks"),
    (long_histories(), 256, 50, "newest"),
  ],
)
def test_less_than_three_percent_is_waste(
  lengths, row_length, max_history, long
):
  made = stream(lengths, row_length, max_history, long)
  newest = np.minimum(lengths, max_history)
  assert made.questions == (newest if long == "newest" else lengths).sum()
  for epoch in range(2):
    rows = epoch * made.rows_per_epoch + np.array([0, made.rows_per_epoch])
    slices, row = made(*rows.tolist())
    assert slices.lengths.sum() == made.questions
    used = np.bincount(row, slices.lengths, made.rows_per_epoch)
    assert used.max() <= row_length
    assert used.mean() >= 0.97 * row_length
    assert slices.lengths.max() <= max_history
    asked = events(slices)
    assert len(np.unique(asked)) == len(asked)
    if long == "newest":  # histories stay whole
      assert len(slices.people) <= 1.005 * len(lengths)


def test_a_row_does_not_depend_on_what_was_made_before(monkeypatch):
  monkeypatch.setattr(epochs, "WINDOW_ROWS", 7)
  lengths = beauty_like()[:400]
  first = stream(lengths, 64, 50, "chunks")
  assert len(first._epoch(0).rows) > 5
  whole, whole_rows = first(0, 4 * first.rows_per_epoch)
  for begin in (3 * first.rows_per_epoch - 2, 20, first.rows_per_epoch - 9):
    slices, rows = stream(lengths, 64, 50, "chunks")(begin, begin + 30)
    expected = slice(*np.searchsorted(whole_rows, [begin, begin + 30]))
    np.testing.assert_array_equal(rows + begin, whole_rows[expected])
    np.testing.assert_array_equal(slices.first, whole.first[expected])
    np.testing.assert_array_equal(slices.people, whole.people[expected])


def test_windows_lose_nothing(monkeypatch):
  monkeypatch.setattr(epochs, "WINDOW_ROWS", 50)
  lengths = beauty_like()[:5000]
  made = stream(lengths, 32, 30)
  assert len(made._epoch(0).rows) > 10
  slices, rows = made(0, made.rows_per_epoch)
  asked = np.sort(events(slices))
  ends = np.cumsum(lengths)
  expected = [
    np.arange(max(end - length, end - 30), end)
    for end, length in zip(ends, lengths, strict=True)
  ]
  np.testing.assert_array_equal(asked, np.concatenate(expected))
  assert (np.diff(rows) >= 0).all()


def test_epochs_and_seeds_differ():
  def people(made, epoch):
    first = epoch * made.rows_per_epoch
    return made(first, first + made.rows_per_epoch)[0].people.tolist()

  lengths = beauty_like()[:300]
  made = stream(lengths, 64, 50)
  assert people(made, 0) != people(made, 1)
  assert people(made, 0) != people(stream(lengths, 64, 50, seed=1), 0)
  assert people(made, 0) == people(stream(lengths, 64, 50), 0)


def test_company_is_random():
  made = stream(np.full(300, 5), 10, 5)
  together = set()
  for epoch in range(20):
    first = epoch * made.rows_per_epoch
    slices, rows = made(first, first + made.rows_per_epoch)
    mine = rows[slices.people == 7]
    together |= set(slices.people[np.isin(rows, mine)].tolist()) - {7}
  assert len(together) > 15
