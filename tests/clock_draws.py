"""The random numbers of tasks in which time passes, in plain Python and double precision."""

import math

import numpy as np

REQUESTS, ARRIVALS, PHASES, FADING, ACCEPTANCE, REPORTS = range(6)
_WORD = 2**64


def word(key, count):
    """The word of a count, as the generator gives it that was started at the key."""
    state = (key + (count + 1) * 0x9E3779B97F4A7C15) % _WORD
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % _WORD
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % _WORD
    return state ^ (state >> 31)


def normal_pair(key, count):
    """Two normal numbers from the halves of a word."""
    angle, radius = divmod(word(key, count), 2**32)
    radius = math.sqrt(-2.0 * math.log((radius + 0.5) / 2**32))
    angle *= 2.0 * math.pi / 2**32
    return radius * math.cos(angle), radius * math.sin(angle)


def episode_keys(seed, episode=0):
    """The keys of an episode's streams."""
    return [word(int(own), episode) for own in np.random.SeedSequence(seed).generate_state(6, np.uint64)]


def fade_amplitudes(key, num_users, correlation, count):
    """Amplitudes at the first instants, by the recursion. Shape (count, 2, K)."""
    noise = [[normal_pair(key, instant * num_users + user) for user in range(num_users)] for instant in range(count)]
    noise = np.array(noise).swapaxes(1, 2)
    found = [math.sqrt(0.5) * noise[0]]
    for fresh in noise[1:]:
        found.append(correlation * found[-1] + math.sqrt(0.5 * (1.0 - correlation**2)) * fresh)
    return np.array(found)
