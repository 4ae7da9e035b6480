"""`chaos monitor`: all signals of a running Watcher, with alerts. It judges nothing."""
