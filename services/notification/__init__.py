"""notification: puts each fact before whoever must know it, in the same second."""
