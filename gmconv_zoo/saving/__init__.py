"""Folders that hold a network: a safetensors file and a config.json, for the Hub, timm and converted networks."""

from .config import CONFIG_NAME, WEIGHTS_NAME
from .folder import load, save

__all__ = ["CONFIG_NAME", "WEIGHTS_NAME", "load", "save"]
