"""Outcomes as a table for the terminal or in Markdown, and the summary below it."""

import math
from collections.abc import Iterable, Sequence

from benchmarks.compare import Outcome
from pycnn._bench import milliseconds

LEFT = 2  # columns of words; all others are numbers


def head(peers: Sequence[str]) -> list[str]:
    """Return the names of the columns."""
    return ["kind", "row", "ms", "min", "G/s", "of peak", "ratio", "by min", *peers]


def line(outcome: Outcome, peers: Sequence[str]) -> list[str]:
    """Return one row: our median and least time, rate, share of the peak, ratio; the peers' medians."""
    row = outcome.row
    kind = row.kind + (" f64" if row.dtype == "float64" else "")
    cells = [kind, row.name]
    if "pycnn" in outcome.seconds:
        median = outcome.median("pycnn")
        rate = (row.flops if outcome.bound == "fma" else row.bytes) / median / 1e9
        unit = "F" if outcome.bound == "fma" else "B"
        share = outcome.peak
        cells += [milliseconds(median), milliseconds(min(outcome.seconds["pycnn"])), f"{rate:.1f} {unit}"]
        cells.append("" if share is None else f"{100 * share:.0f} %")
    else:
        cells += ["wrong" if "pycnn" in outcome.wrong else "-", "", "", ""]
    cells += ["" if ratio is None else f"{ratio:.2f}" for ratio in (outcome.ratio, outcome.ratio_least)]
    return cells + [_peer(outcome, name) for name in peers]


def _peer(outcome: Outcome, name: str) -> str:
    if name in outcome.wrong:
        return "wrong"
    if name not in outcome.seconds:
        return "-"
    return milliseconds(outcome.median(name)) + ("*" if outcome.peers[0] == name else " ")


class Printer:
    """Prints lines as they come; the columns are as wide as the rows' names need."""

    def __init__(self, widest: int, peers: Sequence[str]) -> None:
        self.peers = peers
        self.widths = [12, widest + 1, 9, 9, 9, 9, 8, 8, *(max(9, len(name) + 1) for name in peers)]

    def show(self, cells: Sequence[str]) -> None:
        """Print one line."""
        words = [cell.ljust(width) for cell, width in zip(cells[:LEFT], self.widths)]
        numbers = [cell.rjust(width) for cell, width in zip(cells[LEFT:], self.widths[LEFT:])]
        print("".join(words + numbers), flush=True)


def markdown(outcomes: Iterable[Outcome], peers: Sequence[str]) -> str:
    """Return the table in Markdown."""
    top = head(peers)
    lines = [top, ["---"] * LEFT + ["---:"] * (len(top) - LEFT), *(line(outcome, peers) for outcome in outcomes)]
    return "\n".join("| " + " | ".join(cell.strip() for cell in cells) + " |" for cells in lines)


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Return geometric means of the ratios by group, the rows lost, and what could not be compared."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(_group(outcome), []).append(outcome)
    said = ["", "fastest peer / pycnn, geometric mean (least):"]
    for name, members in groups.items():
        ratios = [outcome.ratio for outcome in members if outcome.ratio is not None]
        least = [outcome.ratio_least for outcome in members if outcome.ratio_least is not None]
        if ratios:
            by_min = f"by min {_mean(least):.2f} ({min(least):.2f})"
            said.append(f"  {name:<20}{_mean(ratios):6.2f} ({min(ratios):.2f})  {by_min}  {len(ratios)} rows")
    lost = [outcome for outcome in outcomes if outcome.ratio is not None and outcome.ratio < 1]
    said.append(f"rows lost: {len(lost) or 'none'}")
    for outcome in sorted(lost, key=lambda outcome: outcome.ratio or 0):
        said.append(f"  {outcome.ratio:.2f}  {_name(outcome)}, to {outcome.peers[0]}")
    wrong = [f"  {_name(outcome)}, {name}: {why}" for outcome in outcomes for name, why in outcome.wrong.items()]
    if wrong:
        said += ["left out, the answer differs or there is none:", *wrong]
    return said


def _group(outcome: Outcome) -> str:
    row = outcome.row
    return f"{row.kind} {getattr(row, 'way', '')}".strip() + (" float64" if row.dtype == "float64" else "")


def _name(outcome: Outcome) -> str:
    return f"{_group(outcome)}: {outcome.row.name}"


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))
