"""Sample images: composites of real photographs that come inside scikit-image, with exact masks."""
