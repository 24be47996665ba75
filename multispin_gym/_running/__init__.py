"""How :mod:`multispin_gym.runner` runs tasks: interrupts, outcomes, workers, files of results, the loop over them."""
