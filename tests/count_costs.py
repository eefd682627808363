"""Writes ``costs.csv`` of ``kinema.models`` from the networks: ``python tests/count_costs.py``."""

from kinema.models.cost import cost
from kinema.models.cost_table import FRAMES, SIZE, write_table
from kinema.models.names import list_models

if __name__ == "__main__":
    write_table([cost(name, frames=FRAMES, size=SIZE) for name in list_models()])
