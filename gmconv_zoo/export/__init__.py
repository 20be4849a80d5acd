"""Deployment: one file that runs a network without this package, checked against the network it came from."""
