"""Stand-ins: the services of AWS that tests and the demo talk to, on the loopback address, started and stopped here."""
