"""python -m lnn2loihi."""

from lnn2loihi.cli import main

if __name__ == "__main__":
    main()
