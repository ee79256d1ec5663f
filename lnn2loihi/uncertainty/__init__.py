"""How sure a network is: passes of Monte-Carlo dropout, what they say together, and scores."""
