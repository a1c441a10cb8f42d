"""The parts of the simulated enterprise: who there is, when they work, what they do, who attacks, how it is logged."""
