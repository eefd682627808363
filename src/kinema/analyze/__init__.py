"""What a network costs, and what it has learned."""
