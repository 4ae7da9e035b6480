"""What people and machines read of a run: console, Markdown. Reads run directories only."""
