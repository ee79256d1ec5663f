"""The process that sends the encoded samples."""
