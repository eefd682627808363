"""Data sets: manifests, sampling, transforms, loading."""
