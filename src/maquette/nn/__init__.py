"""Layers that families share: convolutions, embeddings of conditions, text, and images as tensors."""
