"""How well attacks are found: rankings of many kinds, ours among them, on simulated enterprises."""
