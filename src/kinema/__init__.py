"""kinema."""
