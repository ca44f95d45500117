from __future__ import annotations

import pathlib

import pytest

from tagrec_jax.core import paths


@pytest.mark.parametrize(
  ("named", "xdg", "expected"),
  [
    ("", "", "home/.cache/tagrec_jax"),
    ("", "kept", "kept/tagrec_jax"),
    ("mine", "kept", "mine"),
    ("~/mine", "kept", "home/mine"),
  ],
)
def test_cache_folder(monkeypatch, named, xdg, expected):
  monkeypatch.setenv("HOME", "home")
  monkeypatch.setenv("XDG_CACHE_HOME", xdg)
  assert paths.cache_folder(named) == pathlib.Path(expected)
