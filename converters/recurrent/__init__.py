"""What importers of recurrent layers share."""
