"""Tables and the picture of the suite on tables."""


def write_report(records, folder):
    """Write."""
