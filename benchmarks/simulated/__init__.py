"""Simulated rounds of active learning on labelled data: a pool whose labels are shown only where they are asked for."""
