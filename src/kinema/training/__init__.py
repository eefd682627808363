"""Training: tasks, the loop, schedules, the run directory, resuming and series of runs."""
