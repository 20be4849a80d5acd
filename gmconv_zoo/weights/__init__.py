"""Which weights exist, and how a file becomes a model's tensors."""
