"""What writes down messages, beside the processes that send them."""
