"""Decide for users whose figures one has measured, and prove that the decision cannot be bettered.

python examples/own_cell.py
"""

import numpy as np

import multispin_gym as ms
from multispin_gym.baselines import certify

# A Raspberry Pi, a phone and two laptops around a server with a 120 ms forward pass.
USERS = ms.Users(
    acceptance_rate=[0.55, 0.7, 0.8, 0.65],
    drafting_speed=[20.0, 50.0, 90.0, 120.0],  # token/s
    channel_gain=10.0 ** (np.array([-95.0, -100.0, -88.0, -105.0]) / 10.0),
    transmit_power=0.02,  # W
)
CELL = ms.Cell(
    bandwidth=5e6,  # Hz
    noise_psd=3.98e-21,  # W/Hz
    payload=16384.0,  # bit per drafted token
    verification=ms.AffineVerification(fixed=0.12, per_token=6e-4, batching="ragged"),  # s
    min_draft_length=0,
)


def main() -> None:
    """Print the optimum, its proof, and what each user gets."""
    certificate = certify(USERS, CELL)
    outcome = ms.play_round(USERS, CELL, certificate.decision)
    print(f"goodput {certificate.goodput:.3f} token/s; no decision has more than {certificate.upper_bound:.3f}")
    plain = ms.play_round(USERS, CELL, ms.Decision(np.zeros(4, int), np.zeros(4)))
    print(f"without drafts {plain.goodput:.3f} token/s")
    decision = certificate.decision
    for k in range(USERS.num_users):
        print(
            f"user {k + 1}: drafts {decision.draft_lengths[k]} on {decision.bandwidth_shares[k]:.1%} of the band, "
            f"{1e3 * outcome.drafting_time[k]:.0f} ms + {1e3 * outcome.upload_time[k]:.0f} ms, "
            f"gains {outcome.tokens[k]:.2f} tokens"
        )


if __name__ == "__main__":
    main()
