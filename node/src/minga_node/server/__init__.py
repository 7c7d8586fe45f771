"""REST: what people, ``curl``, the command line and the page talk to; one module a subject."""
