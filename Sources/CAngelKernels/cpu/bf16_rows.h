// quantize_rows to bfloat16: a part of that family in a file of its own.
#pragma once
#include "angel_types.h"

angel_kernel angel_bf16_rows_kernel(angel_isa isa);
