"""Files in the queue that no careful producer would write, and what goes wrong around them."""
