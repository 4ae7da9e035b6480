"""How exactly and with how many runs the strikes that a failure needs are found, simulated.

`python -m benchmarks.shrink_rates [--trials 500]`: some seconds, no run is made. Twelve strikes, of
which one, two or three are needed together; the failure then comes with the given rate.
"""

import argparse
import random
from collections import Counter
from collections.abc import Sequence
from statistics import median, quantiles

from chaos.shrink.decide import Answer, Shrink

STRIKES = 12
ASKED = "asked: exact in 98 to 100 % with 45 to 239 runs"


def simulated(rate: float, needs: int, seed: int, chance: float = 0.0) -> tuple[Answer, bool]:
    """(an answer, whether it is exact); `chance`: how often it comes without what it needs."""
    source = random.Random(f"{seed} {rate} {needs}")
    wanted = set(source.sample(range(STRIKES), needs))

    def ask(strikes: Sequence[int]) -> bool:
        return source.random() < (rate if wanted <= set(strikes) else chance)

    answer = Shrink(range(STRIKES), ask).answer()
    return answer, answer.ending == "found" and set(answer.needed) == wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=500)
    trials = parser.parse_args().trials
    print(f"{trials} trials each; {ASKED}\nrate  needs   exact  wrong  runs: median (90 %)  else")
    for rate in (0.9, 0.6, 0.3, 0.15):
        for needs in (1, 2, 3):
            found = [simulated(rate, needs, seed) for seed in range(trials)]
            exact = sum(right for _, right in found)
            wrong = sum(a.ending == "found" and not right for a, right in found)
            runs = [answer.runs for answer, _ in found]
            other = Counter(a.ending for a, _ in found if a.ending != "found")
            print(
                f"{rate:<6}{needs:<6}{exact / trials:7.1%}{wrong / trials:7.1%}"
                f"{median(runs):9.0f} ({quantiles(runs, n=10)[-1]:.0f})       {dict(other) or ''}"
            )


if __name__ == "__main__":
    main()
