"""What pictures and texts of an episode are headed with."""


def title_before(number: int, total: int) -> str:
    """Headline of the users about to play a round."""
    return f"round {number} of {total} is about to be played"


def title_of(number: int, total: int) -> str:
    """Headline of a round that was played."""
    return f"round {number} of {total}"
