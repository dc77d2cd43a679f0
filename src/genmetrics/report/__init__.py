"""Results with the record of how they came about."""
