"""Files of Debian that hold 'Field: value' in paragraphs.

Source: Debian Policy, chapter 5, Control files and their fields.
"""

from __future__ import annotations

from collections.abc import Iterator

from tagrec_jax.data.records import Rejection
from tagrec_jax.data.sources.rows import Row, opened_text, row_problem, shown


def paragraphs(path: str) -> Iterator[Row | Rejection]:
  """A row for each paragraph, field → its lines.

  Lines that begin with a space go on the field above them; one of a full stop
  alone stands for an empty line. Of a field given twice the last one counts.

  Raises:
    StorageError: if the file cannot be opened.
  """
  with opened_text(path, "utf-8") as file:
    fields: dict[str, list[str]] = {}
    begun, number, last = 1, 0, None
    for number, line in enumerate(file, 1):
      text = line.strip()
      if not text:
        yield from _row(path, begun, fields)
        fields, begun, last = {}, number + 1, None
      elif line[0] in " \t" and last is not None:
        last.append("" if text == "." else text)
      else:
        name, _, value = text.partition(":")
        last = fields[name] = [value.strip()]
    yield from _row(path, begun, fields)


def _row(
  path: str, line: int, fields: dict[str, list[str]]
) -> Iterator[Row | Rejection]:
  values = {name: "\n".join(lines) for name, lines in fields.items()}
  cells = list(values.values())
  if problem := row_problem(cells, len(cells)):
    found = shown(next(iter(values.values())))
    yield Rejection(path, line, "", problem, found)
  elif values:
    yield Row(path, line, values)
