// pack of formats whose quants move in whole words: a part of that family in a file of its own.
#pragma once
#include "angel_types.h"

// NULL for formats that rearrange bits (pack.c).
angel_kernel angel_pack_words_kernel(angel_isa isa, angel_dtype weight);
