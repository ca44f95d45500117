"""Reports side by side, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from tagrec_jax.evaluation.report import Report

Rows = list[list[str]]


def compare(
  reports: Mapping[str, Report],
  *,
  names: Sequence[str] = (),
  ours: str = "",
) -> Table:
  """One row a model, one column a metric.

  Args:
    reports: model → report, in the order of rows.
    names: metrics to show; empty for those of the first report.
    ours: the model that is shown with its 95 % intervals.
  """
  header, *rows = _cells(reports, names, ours)
  table = Table(caption=caption(reports))
  table.add_column(header[0])
  for title in header[1:]:
    table.add_column(title, justify="right")
  for row in rows:
    table.add_row(*row, style="bold" if ours and row[0] == ours else None)
  return table


def markdown(
  reports: Mapping[str, Report],
  *,
  names: Sequence[str] = (),
  ours: str = "",
) -> str:
  """The same as `compare`, as a Markdown table with its caption below."""
  header, *rows = _cells(reports, names, ours)
  align = ["---"] + ["---:"] * (len(header) - 1)
  lines = ["| " + " | ".join(row) + " |" for row in (header, align, *rows)]
  return "\n".join(lines) + f"\n\n{caption(reports)}\n"


def slices_table(report: Report) -> Table:
  """The parts of one report: questions and metrics of each slice."""
  table = Table()
  table.add_column("slice")
  table.add_column("asked", justify="right")
  metrics = list(report.slices[0].values)
  for name in metrics:
    table.add_column(name, justify="right")
  group = ""
  for part in report.slices:
    if group and part.group != group:
      table.add_section()
    group = part.group
    table.add_row(
      f"{part.group}: {part.name}",
      f"{part.people:,}",
      *(_number(part.values[name]) for name in metrics),
    )
  return table


def caption(reports: Mapping[str, Report]) -> str:
  """What makes the numbers comparable: who was asked, under which rule.

  Raises:
    ValueError: the models were asked about different people or catalogues.
  """
  # Models that know nothing of what came after training rank the others.
  asked = {
    (_asked(report), _with_new(report), report.passport["catalogue"])
    for report in reports.values()
  }
  if len({people for people, *_ in asked}) > 1 or len(asked) > len(
    {new for _, new, _ in asked}
  ):
    raise ValueError(f"reports of different (people, new, catalogue): {asked}")
  first = next(iter(reports.values()))
  sizes = sorted(size for *_, size in asked)
  told = [
    _asked(first),
    " or ".join(f"{size:,}" for size in sizes) + " candidates",
  ]
  protocols = _protocols(reports)
  if len(protocols) == 1:
    told.append(f"protocol {protocols.pop()}")
  told += [
    f"{count:,} {name.replace('_', ' ')}"
    for name, count in list(first.people.items())[1:]
    if count
  ]
  return ", ".join(told)


def _asked(report: Report) -> str:
  """'40 people' or '40 products'."""
  name, count = next(iter(report.people.items()))
  return f"{count:,} {name}"


def _with_new(report: Report) -> str:
  """Whether products or tags that came after training are candidates."""
  passport = report.passport
  return passport.get("new products", passport.get("new tags", ""))


def _protocols(reports: Mapping[str, Report]) -> set[str]:
  return {report.passport["protocol"] for report in reports.values()}


def _cells(
  reports: Mapping[str, Report], names: Sequence[str], ours: str
) -> Rows:
  """Header and rows as text; a protocol column where protocols differ."""
  shown = list(names or next(iter(reports.values())).metrics)
  mixed = len(_protocols(reports)) > 1
  rows: Rows = [["model", *(["protocol"] if mixed else []), *shown]]
  for model, report in reports.items():
    row = [model]
    if mixed:
      row.append(report.passport["protocol"])
    for name in shown:
      # Only a calibrated model has the metrics of sets.
      known = name in report.metrics
      value = _number(report.metrics[name]) if known else ""
      if model == ours and name in report.intervals:
        low, high = report.intervals[name]
        value += f" [{_number(low)}, {_number(high)}]"
      row.append(value)
    rows.append(row)
  return rows


def _number(value: float) -> str:
  """Four decimals as in papers: .0531."""
  return f"{value:.4f}".removeprefix("0")
