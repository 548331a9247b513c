"""The parts of other libraries that those libraries do not document, one module a library.

Everything in svl that depends on a private name of another library imports it from here.
``pyproject.toml`` bounds the versions of these libraries, and ``tests/compat`` checks what each function here expects
of them, so that an upgrade that breaks one of these expectations fails in a test that says which.
"""
