"""python -m lnn2loihi."""

import os
import sys

from lnn2loihi.startup import importing

# Python puts the folder in which it is run in front of all others, and with it whatever packages
# lie there: plugins that register themselves in a folder of somebody else's files must not run.
# Where this package itself was found there, it is trusted.
_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__" and sys.path and not sys.flags.isolated:
    if sys.path[0] in ("", os.getcwd()) and os.path.realpath(os.getcwd()) != _FOLDER:
        del sys.path[0]

with importing():
    from lnn2loihi.cli import main

if __name__ == "__main__":
    main()
