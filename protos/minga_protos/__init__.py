"""Stubs generated from the protocol buffers beside them (`make protos`)."""
