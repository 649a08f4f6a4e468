"""How items travel between processes: encoding, classes by value, exceptions, the wire, shared memory. Knows no stage and no scheduler."""
