"""The report: one self-contained HTML page about the hosts that stand out, and what makes them do so."""
