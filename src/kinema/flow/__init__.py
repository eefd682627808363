"""Optical flow as algorithms on tensors: TV-L1, Farneback, and fields in 8 bits."""
