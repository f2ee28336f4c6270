"""Pretrained networks without torch: what is known of them, where their weights are."""
