"""Stack: Watcher, LLM server, injector and Toxiproxy, and the backends they live in."""
