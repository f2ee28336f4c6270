"""What an execution leaves in the store, and what is told of it and done to it."""
