"""The kopf operator that turns a P2PNetwork into running peers, seeds and a broker."""
