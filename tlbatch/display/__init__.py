"""What people are told of an execution: its tasks, tables, logs, and why something waits."""
