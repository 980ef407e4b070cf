// Sums over the members of a process group, in the order of their ranks: the same bits whatever carried the parts.
#pragma once
#include "angel_types.h"

// target[i] = ((parts[0][i] + parts[1][i]) + ...) with part r at parts + r * count values. With `goes_on` the sum begins with
// target[i]. `target` may be any one of the parts, in place.
void angel_rank_sum(float *target, const float *parts, int64_t count, int32_t ranks, int32_t goes_on);
