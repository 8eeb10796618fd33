"""Print the polynomials of csrc/vector_math.inc.h: minimax fits by the Remez exchange in 60 digits.

    pip install mpmath && python tools/fit_vector_math.py

Each line of the output says how large the relative error of the approximated function is before rounding.
Source of the method: E. Ya. Remez, 1934, as in J.-M. Muller, Elementary Functions (Birkhäuser, 3rd ed.), chapter 3.
"""

from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 60
Function = Callable[[mp.mpf], mp.mpf]


def remez(f: Function, weight: Function, low: mp.mpf, high: mp.mpf, degree: int) -> tuple[list[mp.mpf], mp.mpf]:
    """Return the polynomial p of `degree` with the least max |weight * (p - f)| on [low, high], and that maximum."""
    unknowns = degree + 2
    points = 60 * unknowns
    grid = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / points) for i in range(points + 1)]
    nodes = [grid[60 * i * points // (60 * (unknowns - 1))] for i in range(unknowns)]
    values, weights = [f(x) for x in grid], [weight(x) for x in grid]
    for _ in range(12):
        system, right = mp.matrix(unknowns, unknowns), mp.matrix(unknowns, 1)
        for row, x in enumerate(nodes):
            for power in range(degree + 1):
                system[row, power] = x**power
            system[row, unknowns - 1] = (-1) ** row / weight(x)
            right[row] = f(x)
        solution = mp.lu_solve(system, right)
        p = [solution[i] for i in range(degree + 1)]
        errors = [w * (mp.polyval(p[::-1], x) - v) for x, v, w in zip(grid, values, weights)]
        nodes = [grid[i] for i in _alternating_extremes(errors, unknowns)]
        worst = max(abs(e) for e in errors)
        if len(nodes) < unknowns or worst < abs(solution[unknowns - 1]) * mp.mpf("1.001"):
            break
    return p, worst


def _alternating_extremes(errors: list[mp.mpf], wanted: int) -> list[int]:
    extremes: list[int] = []
    for i, e in enumerate(errors):
        if e == 0:
            continue
        if extremes and (errors[extremes[-1]] > 0) == (e > 0):
            if abs(e) > abs(errors[extremes[-1]]):
                extremes[-1] = i
        else:
            extremes.append(i)
    while len(extremes) > wanted:
        extremes.pop(0 if abs(errors[extremes[0]]) < abs(errors[extremes[-1]]) else -1)
    return extremes


def exp_tail(r: mp.mpf) -> mp.mpf:
    """(exp(r) - 1 - r) / r**2."""
    return mp.mpf(1) / 2 + r / 6 if abs(r) < mp.mpf("1e-25") else (mp.exp(r) - 1 - r) / r**2


def log_tail(z: mp.mpf) -> mp.mpf:
    """(2 atanh(s) - 2 s) / s**3 with z = s**2."""
    if z < mp.mpf("1e-25"):
        return mp.mpf(2) / 3
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / (s * z)


def mills(c: int) -> Function:
    """(a + c) * Phi(-a) * exp(a**2 / 2) with Phi the normal distribution, as a function of t = (a - c) / (a + c)."""

    def f(t: mp.mpf) -> mp.mpf:
        a = c * (1 + t) / (1 - t)
        return mp.erfc(a / mp.sqrt(2)) / 2 * mp.exp(a * a / 2) * (a + c)

    return f


def show(name: str, fit: tuple[list[mp.mpf], mp.mpf], digits: int) -> None:
    """Print one row of coefficients, lowest power first."""
    suffix = "f" if digits == 9 else ""
    rows = [f"{mp.nstr(c, digits, min_fixed=0, max_fixed=0)}{suffix}" for c in fit[0]]
    print(f"{name}: error {mp.nstr(fit[1], 2)}\n    " + ", ".join(rows))


def main() -> None:
    """Fit and print."""
    half = mp.log(2) / 2 * mp.mpf("1.005")
    fold = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.0001")
    third = mp.mpf(1) / 9 * mp.mpf("1.0001")
    near_zero = mp.mpf("1e-6")
    for digits, exp, log, log1p, (c, top, degree) in ((9, 5, 2, 4, (4, 15, 9)), (17, 10, 6, 9, (5, 39, 22))):
        show("exp_tail", remez(exp_tail, lambda r: abs(r) + mp.mpf("1e-3"), -half, half, exp), digits)
        show("log_tail", remez(log_tail, lambda z: z / 2 + near_zero, mp.mpf(0), fold, log), digits)
        show("log1p_tail", remez(log_tail, lambda z: z / 2 + near_zero, mp.mpf(0), third, log1p), digits)
        f = mills(c)
        show("mills", remez(f, lambda t: 1 / f(t), mp.mpf(-1), mp.mpf(top - c) / (top + c), degree), digits)  # noqa: B023


if __name__ == "__main__":
    main()
