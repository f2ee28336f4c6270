"""Label curves: draws of few labels, heads fitted to them, and what their accuracies say of more labels."""
