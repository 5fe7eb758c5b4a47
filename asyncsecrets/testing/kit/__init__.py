"""The kit for tests of a program that uses secrets: the fixtures of the pytest plugin are made of it.

``fakes`` is `FakeSecrets`, what a test says of its secrets; ``provider`` answers for every manager with them, ``rules``
are faults and the calls that came; ``clocks`` is time that can be moved; ``leaks`` looks for values where none should
be, ``held`` knows all that there ever were, ``comparing`` compares them without showing them, and ``reports`` takes
them out of what pytest reports; ``servers`` starts the servers that answer as the managers do.

Importing this package imports none of them. None of them imports pytest.
"""
