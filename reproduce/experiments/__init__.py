"""Experiments: which networks are trained against each other, every run on record, and the tables made of it."""
