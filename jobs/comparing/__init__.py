"""Executions side by side: what they scored, whether they differ, and in what their studies and data do."""
