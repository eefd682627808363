"""What training will take, before it is run: clips, hours, cores, memory and storage."""
