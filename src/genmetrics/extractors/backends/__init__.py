"""What a convolutional network runs on: torch as it is, or a faster engine that gives the same features.

``base`` is the contract, ``choose`` says which one is taken where, and each other module is one of them.
"""
