"""From findings and evidence to a named cause. Reads run directories and snapshots only."""
