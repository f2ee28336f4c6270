"""YAML documents that people write: read with the line of every value, typed, answered with the nearest name."""
