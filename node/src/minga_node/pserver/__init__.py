"""The answering end of gRPC: one module a service, and :mod:`.service` that runs them together."""
