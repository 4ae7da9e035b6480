"""Signed statements about gates (in-toto, DSSE): made by `chaos attest`, read by `chaos verify`."""
