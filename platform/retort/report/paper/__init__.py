"""The paper's questions asked of sweeps: grids, claims, published figures."""
