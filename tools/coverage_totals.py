"""Line coverage of a finished run, for the Python and for the Cython files; fails where it is too low.

Run in the folder with `.coverage`, its `.coveragerc` and the sources: `python tools/coverage_totals.py`.
"""

import io
import sys
from pathlib import Path

import coverage

KINDS = {"Python": (".py",), "Cython": (".pyx", ".pxd")}
TOTAL, FILE = 90.0, 80.0


def percent(measured: coverage.Coverage, files: list[str]) -> float:
    """The share of their lines that ran."""
    try:
        return measured.report(morfs=files, file=io.StringIO())
    except coverage.exceptions.NoDataError:  # no line to run
        return 100.0


def main() -> int:
    measured = coverage.Coverage()
    measured.load()
    # A .pxd is only known to Cython's plugin once it has read a .pyx that includes it.
    files = sorted(measured.get_data().measured_files(), key=lambda name: (name.endswith(".pxd"), name))
    measured.report(morfs=files, show_missing=True)
    low = []
    print()
    for kind, suffixes in KINDS.items():
        chosen = [name for name in files if Path(name).suffix in suffixes]
        total = percent(measured, chosen)
        print(f"{kind} files: {total:.1f} %")
        if total < TOTAL:
            low.append(f"{kind} files: {total:.1f} %, must be at least {TOTAL:.0f} %")
        for name in chosen:
            own = percent(measured, [name])
            if own < FILE:
                low.append(f"{Path(name).relative_to(Path.cwd())}: {own:.1f} %, must be at least {FILE:.0f} %")
    for line in low:
        print(line, file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
