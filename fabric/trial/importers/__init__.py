"""Reads the files of other test systems as trials."""
