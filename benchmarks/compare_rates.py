"""How often and how soon `chaos compare` decides, simulated; beside what the design asks for.

`python -m benchmarks.compare_rates [--trials 1000]`: a few seconds, no run is made. `best` is what
somebody would need who knows the true rates and takes the one best bet: no rule can be sooner on
average.
"""

import argparse

import numpy as np

from chaos.compare.evidence import log_capitals

MARGIN, ALPHA, PAIRS_MAX = 0.1, 0.05, 200
# (what, survival of the base, of the candidate, what is asked for)
CASES = (
    ("identical", 0.95, 0.95, "PASS, 52 pairs"),
    ("much worse", 0.95, 0.65, "BLOCK, 46-55 pairs"),
    ("worse by the margin", 0.95, 0.85, "false PASS 0.6 %"),
    ("all survived", 1.0, 1.0, ""),
    ("weak, identical", 0.6, 0.6, ""),
)
NEVER = PAIRS_MAX + 1


def decided(
    base: float, candidate: float, strikes: int, trials: int, *, alpha: float = ALPHA
) -> tuple[np.ndarray, np.ndarray]:
    """(pairs until PASS, pairs until BLOCK) of each trial; NEVER where the other came first."""
    random = np.random.default_rng(7)
    shape = (trials, PAIRS_MAX)
    scores = [random.binomial(strikes, rate, shape) / strikes for rate in (base, candidate)]
    values = (scores[1] - scores[0] + 1) / 2
    limit = -np.log(alpha)
    times = []
    for rows, mean in ((values, (1 - MARGIN) / 2), (1 - values, (1 + MARGIN) / 2)):
        reached = np.array([log_capitals(row, mean) for row in rows]) >= limit
        times.append(np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, NEVER))
    passed, blocked = times
    return np.where(passed <= blocked, passed, NEVER), np.where(blocked < passed, blocked, NEVER)


def best_pairs(base: float, candidate: float) -> float:
    """log(1 / alpha) over the growth of the best fixed bet, for one strike a run."""
    odds = {
        0.0: base * (1 - candidate),
        0.5: base * candidate + (1 - base) * (1 - candidate),
        1.0: (1 - base) * candidate,
    }
    mean = (1 - MARGIN) / 2
    if candidate - base < -MARGIN:
        odds = {1 - value: chance for value, chance in odds.items()}
        mean = 1 - mean
    growth = max(
        sum(p * np.log1p(bet / mean * (value - mean)) for value, p in odds.items())
        for bet in np.linspace(0, 0.99, 100)
    )
    return float(-np.log(ALPHA) / growth) if growth > 1e-9 else float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    print(f"margin {MARGIN}, at most {PAIRS_MAX} pairs, {trials} trials; pairs: median (90 %)")
    for alpha in (ALPHA, ALPHA / 2):
        for strikes in (1, 3):
            print(f"\nalpha {alpha}, strikes a run: {strikes}")
            for what, base, candidate, asked in CASES:
                texts = []
                for word, pairs in zip(
                    ("PASS", "BLOCK"),
                    decided(base, candidate, strikes, trials, alpha=alpha),
                    strict=True,
                ):
                    ended = pairs[pairs < NEVER]
                    text = f"{word} {100 * len(ended) / trials:5.1f} %"
                    if len(ended):
                        text += f", {np.median(ended):.0f} ({np.quantile(ended, 0.9):.0f})"
                    texts.append(f"{text:<26}")
                known = f"best {best_pairs(base, candidate):.0f}" if strikes == 1 else ""
                print(f"  {what:<21}{''.join(texts)}{known:<10}{asked and f'asked: {asked}'}")


if __name__ == "__main__":
    main()
