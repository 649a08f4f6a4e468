"""What runs next: a pure state machine, events in, commands out. Workers know its ``messages`` alone, and import nothing else of it."""
