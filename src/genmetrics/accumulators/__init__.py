"""Mergeable running statistics of one feature of an image set."""
