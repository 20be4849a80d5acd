"""The demo (extra "demo"): a network is finetuned on digits and taken through everything that comes after."""
