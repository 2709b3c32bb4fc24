"""The hypergeometric and binomial tails in exact integer arithmetic, and logarithms of ratios."""

import math

import numpy as np


def exact_tail(theta, n, s, a):
    """P(X >= theta), X ~ H(n, s, a), as numerator and denominator."""
    low, high = max(theta, 0, a + s - n), min(s, a)
    if low > high:
        return 0, 1
    term = math.comb(s, low) * math.comb(n - s, a - low)
    total = term
    for b in range(low, high):
        term = term * (s - b) * (a - b) // ((b + 1) * (n - s - a + b + 1))
        total += term
    return total, math.comb(n, a)


def exact_binomial_tail(theta, s, numerator, denominator):
    """P(X >= theta), X ~ Binomial(s, numerator / denominator)."""
    total = sum(
        math.comb(s, b) * numerator**b * (denominator - numerator) ** (s - b)
        for b in range(theta, s + 1)
    )
    return total, denominator**s


def log_ratio(numerator, denominator):
    """Natural logarithm of a ratio of integers of any size, to double precision."""
    if numerator == 0:
        return -math.inf
    shift = 80 - (numerator.bit_length() - denominator.bit_length())
    scaled = (numerator << shift) // denominator if shift > 0 else numerator // denominator
    return math.log(scaled) - max(shift, 0) * math.log(2)


def random_parameters(count, seed, *, largest_n=10**6, largest_a=3000):
    """Random (theta, n, s, a) whose tail is above 1e-300, with the exact ln p of each."""
    rng = np.random.default_rng(seed)
    rows, logs = [], []
    while len(rows) < count:
        n = int(10 ** rng.uniform(0.5, math.log10(largest_n)))
        s = int(10 ** rng.uniform(0, min(3, math.log10(n))))
        a = min(int(10 ** rng.uniform(0, math.log10(n))), largest_a)
        mean, sd = s * a / n, math.sqrt(s * a / n * (1 - a / n) * (n - s) / n)
        near = mean + rng.uniform(-3, 35) * (sd + 0.3)
        far = rng.uniform(mean, min(s, a) + 1)
        theta = int(np.clip(near if rng.random() < 0.5 else far, 0, s))
        log_p = log_ratio(*exact_tail(theta, n, s, a))
        if log_p > -690:
            rows.append((theta, n, s, a))
            logs.append(log_p)
    return np.array(rows).T, np.array(logs)
