"""Weights and the Hub: verify what was pulled, describe and publish what was trained."""
