"""CfC: closed-form continuous-time units."""
