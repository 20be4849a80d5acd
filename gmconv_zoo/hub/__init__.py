"""Weights and the Hub: verify what was pulled, describe and publish what was trained."""

from .verify import Record, verify

__all__ = ["Record", "verify"]
