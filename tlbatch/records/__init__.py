"""What an execution leaves in the store, and what is done to it there."""
