"""Version 1 of the peer protocol, package minga.v1."""
