// The network that a kernel trains, of DEPTH layers; and which replica, or which part of one, a warp works at.
#pragma once
#include "first_layer.cuh"
#if DEPTH == 2
#include "two_layers.cuh"
#else
#include "three_layers.cuh"
#endif

#define PARAMETERS (DEPTH * (1 + BIAS))

// The number of the warp's replica, or part, among all of the launch; and whether the lane writes what all have.
DEV int number_of_work() { return BLOCK * (WARPS / TEAM) + WARP / TEAM; }
DEV bool is_leader() { return WARP % TEAM == 0 && LANE == 0; }

// Losses and right answers of all lanes, for whose mean there is the factor `inverse`. Every warp of a team has the same.
DEV void finish(Sums& sums, float inverse) {
  sums.loss = sum_of_lanes(sums.loss) * inverse;
  sums.correct = sum_of_lanes(sums.correct) * inverse;
  sums.gc = sum_of_lanes(sums.gc);
}
