"""What benchmarks/segmentation.py trains and on what."""
