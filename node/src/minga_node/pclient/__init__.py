"""The calling end of gRPC: what one node asks another."""
