"""Network detection and response features, baselines and scores from raw firewall and flow logs."""

__version__ = "0.1.0"
