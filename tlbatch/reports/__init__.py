"""Reports in a store: listed, pulled, compared."""
