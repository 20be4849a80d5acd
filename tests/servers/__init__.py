"""Loopback servers that speak enough of the Hugging Face Hub's and GitHub's protocols for offline tests."""
