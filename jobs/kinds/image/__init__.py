"""Pictures: decoded, likened, stored, fed and varied."""
