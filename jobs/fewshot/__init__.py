"""N-way K-shot episodes on classes that nothing was trained on."""
