"""The most memory of this process while something runs."""

from __future__ import annotations

import pathlib
import threading
import time

_EACH_SECONDS = 0.005


class Watched:
  """Looks at memory every few milliseconds.

  Attributes:
    anonymous: the most of `RssAnon`, MB: what the system cannot take back.
    resident: the most of `VmRSS`, MB: with pages of files that are mapped.
    seconds: by the clock.
  """

  def __enter__(self) -> Watched:
    self.anonymous = self.resident = 0.0
    self._done = threading.Event()
    self._begin = time.monotonic()
    self._thread = threading.Thread(target=self._watch)
    self._thread.start()
    return self

  def __exit__(self, *args: object) -> None:
    self.seconds = time.monotonic() - self._begin
    self._done.set()
    self._thread.join()

  def _watch(self) -> None:
    while not self._done.wait(_EACH_SECONDS):
      self.anonymous = max(self.anonymous, status("RssAnon"))
      self.resident = max(self.resident, status("VmRSS"))


def status(name: str) -> float:
  """Of this process, MB."""
  lines = pathlib.Path("/proc/self/status").read_text().splitlines()
  fields = dict(line.split(":", 1) for line in lines)
  return int(fields[name].split()[0]) / 1024
