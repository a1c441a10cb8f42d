"""The tables: one declaration per file, in the order the data flows."""
