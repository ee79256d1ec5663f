"""Fits the constants of lnn2loihi/neurons/activations.py and prints them with their errors.

    python benchmarks/fit_activations.py

Real constants come from a minimax linear program, integer constants from a seeded local search
around them; the error is the largest one over all representable inputs. Needs scipy.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog, root_scalar
from scipy.special import erf

X = np.concatenate([np.linspace(0, 6, 1500), np.linspace(6.05, 10, 20)])
LARGEST = 16383  # of a tanh in Q14: the difference of two must fit 16 bits


def minimax(columns: list[np.ndarray], target: np.ndarray) -> tuple[float, np.ndarray]:
    matrix, n = np.stack(columns, 1), len(columns)
    ones = np.ones((len(target), 1))
    result = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.r_[np.c_[matrix, -ones], np.c_[-matrix, -ones]],
        b_ub=np.r_[target, -target],
        bounds=[(None, None)] * n + [(0, None)],
        method="highs",
    )
    return float(result.fun), result.x[:-1]


def best_ramp(powers: tuple[int, ...], ends: np.ndarray) -> tuple[float, float, np.ndarray]:
    tail = 1 - np.tanh(X)
    fits = []
    for k in ends:
        error, coefficients = minimax([np.maximum(0, 1 - X / k) ** p for p in powers], tail)
        fits.append((error, float(k), coefficients))
    return min(fits, key=lambda fit: fit[0])


def ramp12(c: list[int]) -> np.ndarray:
    end, a, b, third, one = c
    w = np.minimum(0, np.arange(0, end + 2000) - end)
    s = (w * ((w * w) >> 15)) >> 15
    r = ((s * (s + third)) >> 14) - b
    return ((s * (((s * r) >> 14) + a)) >> 14) + one


def ramp16(c: list[int]) -> np.ndarray:
    end, a, b, third, one = c
    end = min(end, 32767)  # w must fit 16 bits
    w = np.minimum(0, np.arange(0, end + 2000) - end)
    u2 = (w * w) >> 15
    u4 = (u2 * u2) >> 15
    u8 = (u4 * u4) >> 15
    eighth = (u8 * (((u8 * third) >> 15) - b)) >> 15
    return eighth + ((u2 * -a) >> 15) + one


def error(values: np.ndarray, unit: float) -> float:
    if values.max() > LARGEST:
        return 1.0
    return float(np.abs(values / 16384 - np.tanh(np.arange(values.size) / unit)).max())


def search(form, start: list[int], unit: float) -> tuple[float, list[int], float]:
    rng = np.random.default_rng(0)
    best = (1.0, start, unit)
    for _ in range(20000):
        steps = [rng.integers(-n, n + 1) for n in (30, 8, 8, 8, 4)]
        candidate = [int(v + s) for v, s in zip(best[1], steps, strict=True)]
        scale = best[2] * (1 + rng.normal(0, 3e-4))
        found = error(form(candidate), scale)
        if found < best[0]:
            best = (found, candidate, scale)
    return best


def root(function, low: float, high: float) -> float:
    return float(root_scalar(function, bracket=(low, high)).root)


def lines(count: int, unit: int) -> tuple[float, list[tuple[int, int]]]:
    """Slopes in Q15 per unit and offsets in Q14 of the best minimum of lines for x >= 0."""

    def build(e: float) -> list[tuple[float, float]]:
        found, x = [], 0.0
        while np.tanh(x) < 1 - 2 * e and len(found) < 200:
            start, above = x, np.tanh(x) + e

            def gap(t: float, start: float = start, above: float = above) -> float:
                return np.tanh(t) - e - (1 - np.tanh(t) ** 2) * (t - start) - above

            touch = root(gap, start, start + 20)
            if touch > 8:  # the last line is as good as horizontal
                break
            slope = 1 - np.tanh(touch) ** 2
            offset = np.tanh(touch) - e - slope * touch
            found.append((slope, offset))
            x = root(lambda z, s=slope, o=offset: s * z + o - np.tanh(z) - e, touch, touch + 1e5)
        return [*found, (0.0, 1 - e)]

    low, high = 1e-5, 0.2
    for _ in range(60):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if len(build(middle)) <= count else (middle, high)
    real = build(high)
    constants = [(round(s * 32767), min(round(o * 16384), LARGEST)) for s, o in real]
    x = np.arange(0, 32768)
    shift = 15 + int(np.log2(unit)) - 14
    values = np.min([((x * s) >> shift) + o for s, o in constants], axis=0)
    return error(values, unit), constants


def silu(c: list[int]) -> np.ndarray:
    """silu - relu, that is -|x| sigma(-|x|), for |x| from 0 to the end of the ramp."""
    end, low, high = c
    n = -np.arange(0, end + 1)
    w = n + end
    u2 = (w * w) >> 14
    u4 = (u2 * u2) >> 16
    u6 = (u2 * (u4 + low)) >> 16
    root = (u6 * (u6 + high)) >> 13
    return fitting((root * ((n * root) >> 11)) >> 19, w, u2, u4 + low, u6, u6 + high, root)


def gelu(c: list[int]) -> np.ndarray:
    """Like silu, for gelu - relu."""
    end, low, high = c
    n = -np.arange(0, end + 1)
    w = n + end
    hill = (w * n) >> 13
    cubic = (n * (hill + low)) >> 14
    root = (w * (cubic + high)) >> 14
    return fitting((root * ((hill * root) >> 13)) >> 18, w, hill + low, cubic + high, root)


def softplus(c: list[int]) -> np.ndarray:
    """softplus - relu, that is log(1 + exp(-|x|)), for |x| from 0 to the end of the ramp."""
    end, a, b, d = c
    w = end - np.arange(0, end + 1)
    u2 = (w * w) >> 15
    u3 = (w * u2) >> 15
    u6 = (u3 * u3) >> 14
    u12 = (u6 * u6) >> 15
    inner = ((u12 * -d) >> 15) + b
    outer = ((u6 * inner) >> 15) + a
    return fitting((u6 * outer) >> 17, w, u2, u3, u6, u12, inner, outer)


def exp(c: list[int]) -> np.ndarray:
    """exp(-y) in Q14 for y from 0 to the end of the ramp."""
    end, low = c
    w = np.arange(0, end + 1) - end
    u2 = (w * w) >> 14
    u3 = (w * u2) >> 15
    fourth = (w * (u3 - low)) >> 15
    square = (fourth * fourth) >> 14
    return fitting(np.minimum((square * square) >> 15, 32768), w, u2, u3 - low, fourth, square)


def log_sigmoid(c: list[int]) -> np.ndarray:
    """log_sigmoid - min(x, 0), that is -log(1 + exp(-|x|)), for |x| from 0 to the ramp's end."""
    end, a, b = c
    w = end - np.arange(0, end + 1)
    u2 = (w * w) >> 15
    u4 = (u2 * u2) >> 15
    u8 = (u4 * u4) >> 15
    minus_bump = ((u8 * (u8 - b)) >> 15) + ((u2 * -a) >> 15)
    return fitting(minus_bump, w, u2, u4, u8, u8 - b)


def log_sigmoid_error(c: list[int], unit: float) -> float:
    values = log_sigmoid(c)
    return float(np.abs(values / unit + np.log1p(np.exp(-np.arange(values.size) / unit))).max())


def search_log_sigmoid(start: list[int], unit: float) -> tuple[float, list[int], float]:
    rng = np.random.default_rng(0)
    best = (log_sigmoid_error(start, unit), start, unit)
    for _ in range(8000):
        reach = int(rng.choice((2, 10, 60)))
        candidate = [int(v + rng.integers(-reach, reach + 1)) for v in best[1]]
        scale = best[2] * (1 + rng.normal(0, 1e-3))
        found = log_sigmoid_error(candidate, scale)
        if found < best[0]:
            best = (found, candidate, scale)
    return best


def fitting(values: np.ndarray, *words: np.ndarray) -> np.ndarray:
    """The values; far off, so that they are not chosen, where an operand exceeds 16 bits."""
    fits = all(-32768 <= word.min() and word.max() <= 32767 for word in (*words, values))
    return values if fits else values + (1 << 24)


#: For each plain function its integer form, its target, fraction bits of argument and result, and
#: the integers that the search starts from: end of the ramp, then the added constants. The forms
#: are among the best found in a one-off search (not kept) over straight-line programs of products
#: and added constants, whose real constants were fitted in the maximum norm with the leading
#: factor held at a power of two: real errors 6.2e-4 for silu, 4.1e-4 for gelu, 4.2e-4 for
#: exp. Better ones for exp have ramps longer than 16 bits. That of softplus is
#: a u^6 + b u^12 - d u^24, of the powers that were tried the best triple (real error 3.3e-4).
PLAIN = {
    "silu": (silu, lambda x: -x / (1 + np.exp(x)), 11, 11, [22970, 3563, -29487]),
    "gelu": (gelu, lambda x: -x * (1 - erf(x / 2**0.5)) / 2, 12, 12, [20034, -6443, -17194]),
    "softplus": (
        softplus,
        lambda x: np.log1p(np.exp(-x)),
        11,
        11,
        [26624, 1254, 17790, 8539],
    ),
    "exp": (exp, lambda y: np.exp(-y), 11, 14, [20191, 16290]),
}


def plain_error(name: str, c: list[int]) -> float:
    form, target, bits, result_bits, _ = PLAIN[name]
    values = form(c)
    wanted = target(np.arange(values.size) / 2**bits)
    return float(np.abs(values / 2**result_bits - wanted).max())


def search_plain(name: str, steps: int = 8000) -> tuple[float, list[int]]:
    rng = np.random.default_rng(0)
    start = PLAIN[name][-1]
    best = (plain_error(name, start), start)
    for _ in range(steps):
        reach = int(rng.choice((3, 15, 60)))
        candidate = [int(v + rng.integers(-reach, reach + 1)) for v in best[1]]
        found = plain_error(name, candidate)
        if found < best[0]:
            best = (found, candidate)
    return best


def main() -> None:
    real, k, (a, b, c, d) = best_ramp((3, 6, 9, 12), np.arange(4.3, 5.3, 0.02))
    scale = abs(d) ** 0.25
    end = round((scale * 2**44) ** (1 / 3))
    start = [end, *(round(v * 2**14) for v in (a / scale, b / scale**2, c / scale**3)), LARGEST]
    print("ramp12", f"real {real:.2e}", search(ramp12, start, end / k))
    real, k, (a, b, c) = best_ramp((2, 8, 16), np.arange(4.6, 5.6, 0.02))
    start = [32767, *(round(v * 2**14) for v in (a, b, -c)), LARGEST]
    print("ramp16", f"real {real:.2e}", search(ramp16, start, 32767 / k))
    for count in (8, 16):
        print(f"lines{count}", *lines(count, 4096))
    for name in PLAIN:
        print(name, *search_plain(name))
    x = np.concatenate([X, np.linspace(10, 14, 20)])
    tail, ramp = np.log1p(np.exp(-x)), 9.7
    real, (a, b, c) = minimax([np.maximum(0, 1 - x / ramp) ** p for p in (2, 8, 16)], tail)
    # u8 carries the factor -c, as far as the unit of x makes it so.
    unit = (-c * 2.0**225 / ramp**16) ** (1 / 15)
    end = round(ramp * unit)
    second, eighth = end**2 / 2**15, end**8 / 2.0**105
    start = [end, round(a * unit * 2**15 / second), round(b * unit * 2**15 / eighth)]
    print("log_sigmoid", f"real {real:.2e}", search_log_sigmoid(start, unit))


if __name__ == "__main__":
    main()
