"""What a workload does when it is called: its state, what it writes into, which way its error goes.

Admission, the contract and the engine ask here, before anything is trained.
"""
