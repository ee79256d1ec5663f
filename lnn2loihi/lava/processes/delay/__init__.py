"""The process that holds messages back for a number of steps."""
