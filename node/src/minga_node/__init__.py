"""One peer of the Minga network: a client and a server at once, over REST, gRPC and MOM."""
