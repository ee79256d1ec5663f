"""How long tests wait for what they start."""

#: Seconds. Everything takes a small part of that, however busy the machine is: it ends what hangs.
PATIENCE = 1800.0
