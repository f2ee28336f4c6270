"""Heads that are fitted to features at once, free of torch: logistic regression, class means, nearest neighbours."""
