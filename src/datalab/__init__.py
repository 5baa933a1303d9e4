"""Data-centric labeling and active learning for image segmentation."""
