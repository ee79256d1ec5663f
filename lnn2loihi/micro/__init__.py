"""Programs in C on other machines: toolchains, emulators, and what a part needs for a program."""
