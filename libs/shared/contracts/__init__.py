"""What services say to each other: one file per publisher, every class frozen and versioned by its type name."""
