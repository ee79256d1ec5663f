"""HalfCheetah: next-state prediction on recorded traces, the protocol of the LTC paper."""
