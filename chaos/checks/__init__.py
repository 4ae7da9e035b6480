"""Pure judgement of a stored run: one file per criterion. Imports nothing that runs things."""
