"""Looks for files that hurt: every reader of the library, fed with damaged and hostile files."""
