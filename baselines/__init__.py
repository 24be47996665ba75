"""Reference controllers: users and cell in, decision out."""
