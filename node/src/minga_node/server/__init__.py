"""REST: what people, ``curl``, the command line and the page talk to; one module a subject.

``rest`` makes the Flask app of all of them. Each subject is a blueprint over ``services``, which names all
that REST may use. ``schemas`` has the forms of answers, ``openapi`` describes them, ``problems`` turns errors
into RFC 9457. ``early`` judges a request by its head. :mod:`.http` is the server below.

Threads: none of its own. Views run in the pool of :mod:`.http`. A long answer is a generator that yields a
pause instead of waiting.

Locks: those of what is remembered for a moment (listings, looks at downloads). None is held while a part is
asked.

Lifetime: app and services live as long as their node, an answer until its client has it, what is remembered a
second or so.
"""
