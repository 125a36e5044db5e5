"""What is wrong with a machine or a lab, found before a trial finds it.

Each look gives findings, a line each; nothing waits for longer than a limit that has a name.
"""
