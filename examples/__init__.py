"""Programs a user would write; each runs by itself (``python examples/clients.py``) and is run by the tests."""
