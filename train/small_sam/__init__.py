"""How the small SAM that ships with datalab was trained."""
