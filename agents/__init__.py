"""PPO agents trained on the environments."""
