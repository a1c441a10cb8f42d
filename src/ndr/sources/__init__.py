"""Raw logs to sessions: one file per format. Which fields a format fills stands in its module's docstring."""
