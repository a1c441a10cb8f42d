"""Sinks: what was found, in the forms and places of other systems."""
