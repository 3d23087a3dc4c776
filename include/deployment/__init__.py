"""Turn a certified model into a release, and put it into service."""
