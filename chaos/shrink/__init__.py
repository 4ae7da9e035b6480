"""Which strikes of a failing run are needed for its failure: the statistics of the answer."""
