"""Amazon Web Services: what is asked there, and how its errors and waits become ours. Needs ``ndr[aws]``."""
