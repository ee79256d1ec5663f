"""The page's own run of the program: as WebAssembly, on inputs that the reader draws."""
