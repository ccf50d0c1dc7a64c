"""Numbers that are never handed out twice."""
