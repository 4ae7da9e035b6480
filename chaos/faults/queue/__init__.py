"""Bad files in the queue, and other trouble with its files."""
