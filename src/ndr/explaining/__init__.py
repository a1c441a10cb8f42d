"""Explaining: why a host stands where it does, down to the sessions behind it, and whether the numbers are right."""
