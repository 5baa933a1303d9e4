"""Learning from labels: splits, metrics, uncertainty, selection. Pure: arrays and tables in and out."""
