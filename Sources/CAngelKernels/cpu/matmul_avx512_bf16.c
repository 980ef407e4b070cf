// matmul with AVX-512: rows of bfloat16 against bfloat16 panels, with the instruction for it and without.
#include "matmul_avx512.h"

#if defined(ANGEL_X86)
// One step of all lanes of a panel: a pair of weights, a pair of activations.
struct pairs {
  __m512i both;
  __m512 even, odd;
};

TARGET_INLINE struct pairs split(__m512i both, const int has_instruction) {
  struct pairs pairs = {.both = both};
  if (!has_instruction) {
    pairs.even = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
    pairs.odd = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int32_t)0xffff0000)));
  }
  return pairs;
}

// The order of `vdpbf16ps`, under flushing of subnormals.
TARGET_INLINE __m512 extended_by_fma(__m512 sum, struct pairs w, struct pairs x) {
  return _mm512_fmadd_ps(w.even, x.even, _mm512_fmadd_ps(w.odd, x.odd, sum));
}
ANGEL_TARGET_AVX512_BF16 static inline __attribute__((always_inline)) __m512 extended_by_instruction(
  __m512 sum, struct pairs w, struct pairs x) {
  return _mm512_dpbf16_ps(sum, (__m512bh)w.both, (__m512bh)x.both);
}

// `rows` x `panels` sums in registers: 6 x 4 leave room for four weights and one activation, and each weight is loaded
// once for six products.
#define TILE(name, target, extended, has_instruction)                                                             \
  target static inline __attribute__((always_inline)) void name##_rows(                                           \
    const struct angel_bf16_tile *t, int32_t row, int32_t panel, const int rows, const int panels) {              \
    const uint8_t *x = t->input + row * t->row_bytes, *weight = t->weight + panel * t->panel_bytes;               \
    float *sums = t->sums + row * t->sums_stride + panel * ANGEL_PANEL;                                           \
    __m512 sum[6][4];                                                                                             \
    _Pragma("unroll") for (int r = 0; r < rows; r++) {                                                            \
      _Pragma("unroll") for (int p = 0; p < panels; p++) {                                                        \
        sum[r][p] = t->is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * t->sums_stride + 16 * p);      \
      }                                                                                                           \
    }                                                                                                             \
    for (int64_t pair = 0; pair < t->pairs; pair++) {                                                             \
      struct pairs w[4];                                                                                          \
      _Pragma("unroll") for (int p = 0; p < panels; p++) {                                                        \
        const uint8_t *at = weight + p * t->panel_bytes + pair * 64;                                              \
        if (t->is_streamed) _mm_prefetch((const char *)at + PREFETCH_BYTES, _MM_HINT_T0);                         \
        w[p] = split(_mm512_loadu_si512(at), has_instruction);                                                    \
      }                                                                                                           \
      _Pragma("unroll") for (int r = 0; r < rows; r++) {                                                          \
        const __m512i both = four((const int8_t *)x + r * t->row_bytes, (int)pair);                               \
        const struct pairs activations = split(both, has_instruction);                                            \
        _Pragma("unroll") for (int p = 0; p < panels; p++) sum[r][p] = extended(sum[r][p], w[p], activations);    \
      }                                                                                                           \
    }                                                                                                             \
    _Pragma("unroll") for (int r = 0; r < rows; r++) {                                                            \
      _Pragma("unroll") for (int p = 0; p < panels; p++) {                                                        \
        _mm512_storeu_ps(sums + r * t->sums_stride + 16 * p, sum[r][p]);                                          \
      }                                                                                                           \
    }                                                                                                             \
  }                                                                                                               \
  target static inline __attribute__((always_inline)) void name##_panels(                                         \
    const struct angel_bf16_tile *t, int32_t panel, const int panels) {                                           \
    int32_t row = 0;                                                                                              \
    for (; row + 6 <= t->rows; row += 6) name##_rows(t, row, panel, 6, panels);                                   \
    for (; row + 2 <= t->rows; row += 2) name##_rows(t, row, panel, 2, panels);                                   \
    if (row < t->rows) name##_rows(t, row, panel, 1, panels);                                                     \
  }                                                                                                               \
  target void angel_##name(const struct angel_bf16_tile *t) {                                                     \
    int32_t panel = 0;                                                                                            \
    for (; panel + 4 <= t->panels; panel += 4) name##_panels(t, panel, 4);                                        \
    for (; panel + 2 <= t->panels; panel += 2) name##_panels(t, panel, 2);                                        \
    if (panel < t->panels) name##_panels(t, panel, 1);                                                            \
  }

TILE(avx512_bf16, TARGET, extended_by_fma, 0)
TILE(avx512_bf16_instruction, ANGEL_TARGET_AVX512_BF16, extended_by_instruction, 1)
#endif
