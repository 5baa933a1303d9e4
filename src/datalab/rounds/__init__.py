"""A labeling round: its state, what may follow what, and the plain functions that carry out each step."""
