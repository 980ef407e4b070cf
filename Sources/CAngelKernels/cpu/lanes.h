// Sixteen float32 lanes, the unit in which every vectorised kernel states its arithmetic. The functions are plain
// vector code without intrinsics: inlined into a variant with a `target` attribute they become that instruction set,
// and the order of every operation, hence every bit of the result, stays the same.
#pragma once
#include "families.h"
#include "half.h"

#if defined(__clang__)
// Vectors are passed between functions that are always inlined, so their calling convention is of no consequence.
#pragma clang diagnostic ignored "-Wpsabi"
#endif

typedef float f32x16 __attribute__((ext_vector_type(16)));
typedef float f32x8 __attribute__((ext_vector_type(8)));
typedef float f32x4 __attribute__((ext_vector_type(4)));
typedef int32_t i32x16 __attribute__((ext_vector_type(16)));
typedef uint32_t u32x16 __attribute__((ext_vector_type(16)));
typedef uint16_t u16x16 __attribute__((ext_vector_type(16)));
typedef _Float16 f16x16 __attribute__((ext_vector_type(16)));

ANGEL_INLINE f32x16 f32x16_load(const float *source) {
  f32x16 value;
  __builtin_memcpy(&value, source, sizeof value);
  return value;
}
ANGEL_INLINE void f32x16_store(float *target, f32x16 value) { __builtin_memcpy(target, &value, sizeof value); }
// The first `count` (0...16) lanes; the others are zero.
ANGEL_INLINE f32x16 f32x16_load_first(const float *source, int64_t count) {
  float lanes[16] = {0};
  for (int64_t i = 0; i < count; i++) lanes[i] = source[i];
  return f32x16_load(lanes);
}
ANGEL_INLINE f32x16 f32x16_load_first_or_all(const float *source, int64_t count) {
  return count >= 16 ? f32x16_load(source) : f32x16_load_first(source, count);
}
ANGEL_INLINE void f32x16_store_first(float *target, f32x16 value, int64_t count) {
  float lanes[16];
  f32x16_store(lanes, value);
  for (int64_t i = 0; i < count; i++) target[i] = lanes[i];
}
ANGEL_INLINE f32x16 f32x16_splat(float value) { return (f32x16)value; }
ANGEL_INLINE f32x16 f32x16_fma(f32x16 a, f32x16 b, f32x16 c) { return __builtin_elementwise_fma(a, b, c); }
// a > b ? a : b, lane by lane: b where either is NaN.
ANGEL_INLINE f32x16 f32x16_max(f32x16 a, f32x16 b) { return a > b ? a : b; }
ANGEL_INLINE u32x16 f32x16_bits(f32x16 value) { return (u32x16)value; }
ANGEL_INLINE f32x16 f32x16_of_bits(u32x16 bits) { return (f32x16)bits; }

// Sum by halving: lanes i and i+8, then i and i+4, i+2, i+1.
ANGEL_INLINE float f32x16_sum(f32x16 value) {
  const f32x8 eight = value.lo + value.hi;
  const f32x4 four = eight.lo + eight.hi;
  return (four.x + four.z) + (four.y + four.w);
}
ANGEL_INLINE float f32x16_maximum(f32x16 value) {
  const f32x8 eight = value.lo > value.hi ? value.lo : value.hi;
  const f32x4 four = eight.lo > eight.hi ? eight.lo : eight.hi;
  const float x = four.x > four.z ? four.x : four.z, y = four.y > four.w ? four.y : four.w;
  return x > y ? x : y;
}

// Reads 16 elements of a cache dtype as float32.
ANGEL_INLINE f32x16 f32x16_from(const void *source, angel_dtype dtype, angel_isa isa) {
  if (dtype == ANGEL_F32) return f32x16_load(source);
  u16x16 halves;
  __builtin_memcpy(&halves, source, sizeof halves);
  if (dtype == ANGEL_BF16) return f32x16_of_bits(__builtin_convertvector(halves, u32x16) << 16);
  if (isa != ANGEL_ISA_SCALAR) return __builtin_convertvector((f16x16)halves, f32x16);
  float lanes[16];
  for (int i = 0; i < 16; i++) lanes[i] = angel_f32_from_f16(halves[i]);
  return f32x16_load(lanes);
}

// Rounds 16 lanes to f16 or bf16.
ANGEL_INLINE u16x16 u16x16_from(f32x16 value, angel_dtype dtype, angel_isa isa) {
  if (dtype == ANGEL_BF16) {
    const u32x16 bits = f32x16_bits(value);
    const u32x16 rounded = bits + 0x7fff + ((bits >> 16) & 1);
    const u32x16 kept = (bits & 0x7fffffff) > 0x7f800000 ? (bits | 0x400000) : rounded;
    return __builtin_convertvector(kept >> 16, u16x16);
  }
  if (isa != ANGEL_ISA_SCALAR) return (u16x16)__builtin_convertvector(value, f16x16);
  u16x16 halves;
  for (int i = 0; i < 16; i++) halves[i] = angel_f16_from_f32(value[i]);
  return halves;
}

// Lanes at ..< at + count (of 16) of an array of f32 or bf16; the others are zero.
ANGEL_INLINE f32x16 f32x16_read(const void *source, int64_t at, int64_t count, angel_dtype dtype) {
  if (dtype == ANGEL_F32) return f32x16_load_first_or_all((const float *)source + at, count);
  u16x16 halves = 0;
  if (count >= 16) {
    __builtin_memcpy(&halves, (const uint16_t *)source + at, sizeof halves);
  } else {
    uint16_t first[16] = {0};
    for (int64_t i = 0; i < count; i++) first[i] = ((const uint16_t *)source)[at + i];
    __builtin_memcpy(&halves, first, sizeof halves);
  }
  return f32x16_of_bits(__builtin_convertvector(halves, u32x16) << 16);
}
// The first `count` (of 16) lanes into an array of f32, or rounded to bf16.
ANGEL_INLINE void f32x16_write(void *target, int64_t at, f32x16 value, int64_t count, angel_dtype dtype) {
  if (dtype == ANGEL_F32) {
    if (count >= 16) f32x16_store((float *)target + at, value);
    else f32x16_store_first((float *)target + at, value, count);
    return;
  }
  const u16x16 halves = u16x16_from(value, ANGEL_BF16, ANGEL_ISA_SCALAR);
  if (count >= 16) {
    __builtin_memcpy((uint16_t *)target + at, &halves, sizeof halves);
    return;
  }
  uint16_t lanes[16];
  __builtin_memcpy(lanes, &halves, sizeof lanes);
  for (int64_t i = 0; i < count; i++) ((uint16_t *)target)[at + i] = lanes[i];
}
// The element at `at` of an array of f32 or bf16.
ANGEL_INLINE float f32_read(const void *source, int64_t at, angel_dtype dtype) {
  return dtype == ANGEL_F32 ? ((const float *)source)[at] : angel_f32_from_bf16(((const uint16_t *)source)[at]);
}
ANGEL_INLINE void f32_write(void *target, int64_t at, float value, angel_dtype dtype) {
  if (dtype == ANGEL_F32) ((float *)target)[at] = value;
  else ((uint16_t *)target)[at] = angel_bf16_from_f32(value);
}
