"""The volume of the workspace: full, nearly full, read-only, flooded."""
