"""Weights and the Hub: check downloaded weights, and describe and publish trained ones."""

from .verify import Record, verify

__all__ = ["Record", "verify"]
