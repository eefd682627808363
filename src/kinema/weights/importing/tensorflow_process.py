"""A process that reads a TensorFlow checkpoint and nothing else: ``python tensorflow_process.py PREFIX OUT.npz``."""

from __future__ import annotations

import sys


def main(prefix: str, out: str) -> None:
    """Write every variable of a checkpoint into an ``.npz`` file, under its name.

    Args:
        prefix: The checkpoint's path without ``.index`` and ``.data-...``.
        out: The file to write.
    """
    import numpy as np
    import tensorflow  # pyrefly: ignore[missing-import]

    opened = tensorflow.train.load_checkpoint(prefix)
    variables = {name: np.asarray(opened.get_tensor(name)) for name in opened.get_variable_to_shape_map()}
    np.savez(out, allow_pickle=False, **variables)


if __name__ == "__main__":
    main(*sys.argv[1:])
