"""Engines: what runs a recipe's expressions over files. One file per engine."""
