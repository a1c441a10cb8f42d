"""The model: from the features of a window to one score, and what it is made of. Pure numbers, no I/O."""
