"""What the harness costs, measured: each module prints its figures as ratios in one run."""
