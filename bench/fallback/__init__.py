"""The mock upstream and the load client in Python: for machines without a compiler, and for TLS.

They cost about as much as what they measure. CPU time per request stays meaningful, throughput and latency do not.
"""
