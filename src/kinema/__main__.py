"""Run the command line as ``python -m kinema``."""

from kinema.cli.main import main

if __name__ == "__main__":
    main()
