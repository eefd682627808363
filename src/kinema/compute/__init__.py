"""Where and how work is done: processes, devices, precision, signals, and the bar that shows how far it is."""
