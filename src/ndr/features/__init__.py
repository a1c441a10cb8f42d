"""How rows become features: pure functions from Ibis tables to Ibis tables."""
