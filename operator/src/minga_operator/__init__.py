"""The kopf operator that turns a ``P2PNetwork`` into running peers, seeds and a broker.

``handlers`` only call. ``reconcile`` brings one network to what it should be: it observes, decides by pure
modules (``planning``, ``draining``, ``resizing``, ``verdicts``, ``status``) and acts through ``kube`` alone.
``resources`` renders the desired objects.

Threads: kopf's loop; ``worker-N``, which take networks from the work queue; ``watch-KIND``, which follow the
objects of Kubernetes into the cache; ``poll``, ``lease`` and ``health``.

Locks: the work queue's and the cache's, each for memory alone. No lock is held during a call to Kubernetes,
and one network is reconciled by one thread at a time.

Lifetime: all state is in Kubernetes. The cache and the queue are made anew with each process, and only the
leader acts.
"""
