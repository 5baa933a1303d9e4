"""Annotation quality: agreement, gold scores, consensus. Pure: arrays and tables in, arrays and tables out."""
