"""A champion as files for others: whole networks as safetensors, an ONNX file, a card, and how to use them."""
