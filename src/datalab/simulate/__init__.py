"""Annotators with a known error profile who label over the real HTTP API."""
