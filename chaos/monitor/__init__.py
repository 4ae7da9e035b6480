"""`chaos monitor`: show all signals of a running Watcher, and raise alerts. Judges nothing."""
