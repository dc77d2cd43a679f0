"""Resize and normalisation before a network, as data that travels with an extractor."""
