"""Features of images, each computed once: what is wanted, what is known already, and the network that computes the rest."""
