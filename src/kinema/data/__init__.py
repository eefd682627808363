"""Data sets: manifests, adapters of public sets, transforms, loaders, and the last step before a network."""
