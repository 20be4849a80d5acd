"""Folders that hold a network: safetensors beside a config.json, for the Hub, for timm and for converted networks."""

from .describe import CONFIG_NAME, WEIGHTS_NAME
from .folder import load, save

__all__ = ["CONFIG_NAME", "WEIGHTS_NAME", "load", "save"]
