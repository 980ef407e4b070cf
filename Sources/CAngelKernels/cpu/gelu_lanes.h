// GELU of sixteen float32 lanes in its two forms, shared by gelu and geglu so that their bits agree (gelu.h).
#pragma once
#include "gelu.h"
#include "vector_math.h"

// The normal distribution's mass below x, within 3 ulp on both sides of 0; NaN passes.
//   For y = |x| the mass beyond is exp(-y^2/2) g(u) / (1 + y) with u = (y - 3.5) / (y + 3.5); g was fitted for the
//   least relative error, 2^-26. What y*y loses to rounding is put back, or large y would lose digits.
ANGEL_INLINE f32x16 normal_mass_below(f32x16 x) {
  f32x16 y = f32x16_of_bits(f32x16_bits(x) & 0x7fffffff);
  y = y > 15.0f ? f32x16_splat(15.0f) : y;  // the mass beyond 15 is below half the least subnormal
  const f32x16 u = (y - 3.5f) / (y + 3.5f);
  f32x16 g = f32x16_splat(0x1.30ff8ap-13f);
  g = f32x16_fma(g, u, f32x16_splat(0x1.7d3076p-14f));
  g = f32x16_fma(g, u, f32x16_splat(-0x1.6c458cp-10f));
  g = f32x16_fma(g, u, f32x16_splat(0x1.36ee7cp-12f));
  g = f32x16_fma(g, u, f32x16_splat(0x1.53e754p-7f));
  g = f32x16_fma(g, u, f32x16_splat(-0x1.efd61cp-6f));
  g = f32x16_fma(g, u, f32x16_splat(0x1.37b0f2p-5f));
  g = f32x16_fma(g, u, f32x16_splat(0x1.9cd10cp-11f));
  g = f32x16_fma(g, u, f32x16_splat(-0x1.903b14p-4f));
  g = f32x16_fma(g, u, f32x16_splat(0x1.ea09d8p-2f));
  const f32x16 square = y * y, lost = f32x16_fma(y, y, -square);
  f32x16 density = f32x16_exp(-0.5f * square);
  density = f32x16_fma(density, -0.5f * lost, density);
  const f32x16 beyond = density * g / (1.0f + y);
  return x < 0.0f ? beyond : 1.0f - beyond;
}

// The derivative of gelu: the mass below x plus x times the density at x, or what stands for them in the other form.
ANGEL_INLINE f32x16 gelu_slope(f32x16 x, angel_gelu_form form) {
  if (form == ANGEL_GELU_ERF) {
    const f32x16 density = 0.3989422804f * f32x16_exp(-0.5f * x * x);  // 1 / sqrt(2 pi)
    return f32x16_fma(x, density, normal_mass_below(x));
  }
  const f32x16 cubic = f32x16_fma(x * x * x, f32x16_splat(0.044715f), x);
  const f32x16 mass = 1.0f / (1.0f + f32x16_exp(-1.5957691216f * cubic));
  const f32x16 inner = 1.5957691216f * f32x16_fma(x * x, f32x16_splat(0.134145f), f32x16_splat(1.0f));
  return f32x16_fma(x * mass * (1.0f - mass), inner, mass);
}

ANGEL_INLINE f32x16 gelu_lanes(f32x16 x, angel_gelu_form form) {
  if (form == ANGEL_GELU_ERF) return x * normal_mass_below(x);
  const f32x16 cubic = f32x16_fma(x * x * x, f32x16_splat(0.044715f), x);
  return x / (1.0f + f32x16_exp(-1.5957691216f * cubic));  // 2 sqrt(2/pi)
}
