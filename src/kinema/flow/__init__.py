"""Optical flow: computed, stored in 8 bits, and fed to networks in stacks."""
