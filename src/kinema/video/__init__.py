"""From video files and frame folders to decoded frames, each found by its exact position."""
