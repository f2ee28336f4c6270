"""Figures: each function draws one and returns it; how they look and are written is in ``style``."""
