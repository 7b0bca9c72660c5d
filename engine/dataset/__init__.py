"""A folder of pictures and captions: read, checked, fitted to buckets and laid out in steps. Light: no torch."""
