"""``python -m genmetrics`` is the ``genmetrics`` command."""

from genmetrics.cli.main import main

if __name__ == "__main__":
    main()
