"""``python -m xmtf``: the command line without its script."""

from xmtf.cli.app import main

if __name__ == "__main__":
    main()
