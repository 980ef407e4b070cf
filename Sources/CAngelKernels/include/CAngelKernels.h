// CPU kernels in C, one file per family, best instruction set picked at load; the thread pool.
#pragma once
#include "angel_types.h"
#include "angel_pool.h"
#include "pack.h"
#include "matmul.h"
#include "quantize_rows.h"
#include "embedding.h"
#include "rmsnorm.h"
#include "rotary.h"
#include "paged_attention.h"
#include "swiglu.h"
#include "softmax.h"
#include "primitives.h"
