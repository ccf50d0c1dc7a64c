"""Issue document numbers, each to exactly one caller within a cycle."""
