// scale: values *= factor, in place. dtypes: (f32 or bf16, none, none). By a factor of exactly 1, what nearly every backward
// pass begins with, nothing is read or written: gigabytes stay where they are.
#pragma once
#include "angel_types.h"

struct angel_scale_arguments {
  void *values;         // [count]
  const float *factor;  // one number
  int64_t count;
};
