"""Many runs as one: a plan of soaks, faults, targets and seeds, made in slots, judged together."""
