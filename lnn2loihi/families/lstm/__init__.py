"""LSTM: long short-term memory, and the mixed memory of CfC and LTC."""
