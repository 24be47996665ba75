"""What pictures and texts of an episode are headed with."""


def title_before(number: int, total: int | None, time: float | None = None, end: float | None = None) -> str:
    """Headline of the users about to play a round.

    Parameters
    ----------
    number
        The round's number, from 1 on.
    total
        Rounds of the episode; None where they are not limited.
    time, end
        When the round begins, and when the episode ends, s, where there is a clock, and an end on it.
    """
    return f"{title_of(number, total, time, end)} is about to be played"


def title_of(number: int, total: int | None, time: float | None = None, end: float | None = None) -> str:
    """Headline of a round that was played; see :func:`title_before`."""
    counted = f"round {number}" if total is None else f"round {number} of {total}"
    if time is None:
        return counted
    return f"{counted}, at {time:.2f} s" if end is None else f"{counted}, at {time:.2f} of {end:g} s"
