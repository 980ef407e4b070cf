// peaks: register loops and a read loop (peaks.h). Sixteen independent chains hide the latency of any of the
// instructions; the empty asm keeps the compiler from folding rounds together without touching memory.
#include "peaks.h"

#include "lanes.h"
#if defined(ANGEL_X86)
#include <immintrin.h>
#endif
#include "variants.h"

enum { CHAINS = 16, PAGE = 4096, LINE = 64, STREAMS = 4 };

#define ANGEL_KEEP(x) __asm__ volatile("" : "+x"(x))

static uint32_t part_rounds(const struct angel_peaks_arguments *a, int32_t part, int32_t parts) {
  const struct angel_range rounds = angel_part_range(a->rounds, part, parts);
  return (uint32_t)(rounds.end - rounds.begin);
}

#if defined(ANGEL_X86)
#define ANGEL_REGISTER_LOOP(name, target, vector, zero, step, chains)                       \
  target static void name(const void *arguments, int32_t part, int32_t parts) {             \
    const struct angel_peaks_arguments *a = arguments;                                      \
    vector sums[chains], x = zero, y = zero;                                                \
    for (int c = 0; c < chains; c++) sums[c] = zero;                                        \
    ANGEL_KEEP(x);                                                                          \
    ANGEL_KEEP(y);                                                                          \
    for (uint32_t left = part_rounds(a, part, parts); left > 0; left--) {                   \
      _Pragma("clang loop unroll(full)") for (int c = 0; c < chains; c++) {                 \
        sums[c] = step;                                                                     \
        ANGEL_KEEP(sums[c]);                                                                \
      }                                                                                     \
    }                                                                                       \
    uint32_t sink = 0;                                                                      \
    for (int c = 0; c < chains; c++) sink ^= *(uint32_t *)(void *)&sums[c];                 \
    a->sinks[part] = sink;                                                                  \
  }
ANGEL_REGISTER_LOOP(
  f32_avx512, ANGEL_TARGET_AVX512, __m512, _mm512_setzero_ps(), _mm512_fmadd_ps(x, y, sums[c]), CHAINS)
// Twelve chains and two operands: AVX2 has sixteen registers.
ANGEL_REGISTER_LOOP(f32_avx2, ANGEL_TARGET_AVX2, __m256, _mm256_setzero_ps(), _mm256_fmadd_ps(x, y, sums[c]), 12)
ANGEL_REGISTER_LOOP(
  bf16_avx512, ANGEL_TARGET_AVX512_BF16, __m512, _mm512_setzero_ps(),
  _mm512_dpbf16_ps(sums[c], (__m512bh)x, (__m512bh)y), CHAINS)
ANGEL_REGISTER_LOOP(
  int8_avx512, ANGEL_TARGET_AVX512, __m512i, _mm512_setzero_si512(), _mm512_dpbusd_epi32(sums[c], x, y), CHAINS)
// Without VNNI sums of products run up in 16 bits, as in the tiles: two instructions, none of which may leave the loop.
ANGEL_TARGET_AVX2 static inline __m256i dot_avx2(__m256i sum, __m256i x, __m256i y) {
  ANGEL_KEEP(x);
  return _mm256_add_epi16(sum, _mm256_maddubs_epi16(x, y));
}
ANGEL_REGISTER_LOOP(int8_avx2, ANGEL_TARGET_AVX2, __m256i, _mm256_setzero_si256(), dot_avx2(sums[c], x, y), 8)

// Four tiles of sums, as the kernels have them. All registers are zeros: a product takes the same time.
#define ANGEL_TILE_LOOP(name, product)                                                                    \
  ANGEL_TARGET_AMX static void name(const void *arguments, int32_t part, int32_t parts) {                 \
    const struct angel_peaks_arguments *a = arguments;                                                    \
    const struct {                                                                                        \
      uint8_t palette, start_row, reserved[14];                                                           \
      uint16_t row_bytes[16];                                                                             \
      uint8_t rows[16];                                                                                   \
    } configuration = {                                                                                   \
      .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16}};             \
    _tile_loadconfig(&configuration);                                                                     \
    for (uint32_t left = part_rounds(a, part, parts); left > 0; left--) {                                 \
      product(0, 4, 5);                                                                                   \
      product(1, 4, 5);                                                                                   \
      product(2, 4, 5);                                                                                   \
      product(3, 4, 5);                                                                                   \
    }                                                                                                     \
    uint32_t sums[16 * 16];                                                                               \
    _tile_stored(0, sums, 64);                                                                            \
    _tile_release();                                                                                      \
    a->sinks[part] = sums[0];                                                                             \
  }
ANGEL_TILE_LOOP(bf16_amx, _tile_dpbf16ps)
ANGEL_TILE_LOOP(int8_amx, _tile_dpbsud)
#elif defined(__aarch64__)
static void f32_neon(const void *arguments, int32_t part, int32_t parts) {
  const struct angel_peaks_arguments *a = arguments;
  f32x4 sums[CHAINS] = {0}, x = {0}, y = {0};
  __asm__ volatile("" : "+w"(x), "+w"(y));
  for (uint32_t left = part_rounds(a, part, parts); left > 0; left--) {
    for (int c = 0; c < CHAINS; c++) {
      sums[c] = __builtin_elementwise_fma(x, y, sums[c]);
      __asm__ volatile("" : "+w"(sums[c]));
    }
  }
  float sink = 0;
  for (int c = 0; c < CHAINS; c++) sink += sums[c].x;
  a->sinks[part] = (uint32_t)sink;
}
#endif

ANGEL_INLINE f32x16 with_line(f32x16 sum, const char *line) {
  return f32x16_of_bits(f32x16_bits(sum) ^ f32x16_bits(f32x16_load((const float *)(const void *)line)));
}

// In turn a line of each stream, and with several the lines ahead asked for.
ANGEL_INLINE u32x16 read_streams(const char *base, int64_t bytes, const int streams) {
  f32x16 sums[STREAMS] = {0};
  const int64_t stride = bytes / PAGE / streams * PAGE;
  for (int64_t line = 0; line < stride; line += LINE) {
#pragma clang loop unroll(full)
    for (int s = 0; s < streams; s++) {
      const char *from = base + s * stride + line;
      if (streams > 1) __builtin_prefetch(from + PAGE / 2, 0, 3);
      sums[s] = with_line(sums[s], from);
    }
  }
  // What does not divide by the streams.
  for (int64_t line = streams * stride; line < bytes; line += LINE) sums[0] = with_line(sums[0], base + line);
  return f32x16_bits(sums[0]) ^ f32x16_bits(sums[1]) ^ f32x16_bits(sums[2]) ^ f32x16_bits(sums[3]);
}

ANGEL_INLINE void read_bytes(const void *arguments, int32_t part, int32_t parts, [[maybe_unused]] angel_isa isa) {
  const struct angel_peaks_arguments *a = arguments;
  const struct angel_range pages = angel_part_range(a->count / PAGE, part, parts);
  const char *base = (const char *)a->bytes + pages.begin * PAGE;
  const int64_t bytes = (pages.end - pages.begin) * PAGE;
  const u32x16 sink = a->streams == 1 ? read_streams(base, bytes, 1) : read_streams(base, bytes, STREAMS);
  a->sinks[part] = sink[0] ^ sink[5] ^ sink[10] ^ sink[15];
}
ANGEL_VARIANTS(read, read_bytes)

int64_t angel_peaks_round_operations(angel_dtype what) {
  const angel_isa isa = angel_isa_current();
  const int wide = isa >= ANGEL_ISA_AVX512;
  switch (what) {
    case ANGEL_F32: return wide ? CHAINS * 16 * 2 : isa == ANGEL_ISA_AVX2 ? 12 * 8 * 2 : CHAINS * 4 * 2;
    case ANGEL_BF16: return isa == ANGEL_ISA_AMX ? 4 * 16 * 16 * 32 * 2 : CHAINS * 16 * 4;
    case ANGEL_INT8_ROWS:
      if (isa == ANGEL_ISA_AMX) return 4 * 16 * 16 * 64 * 2;
      return wide ? CHAINS * 16 * 8 : 8 * 8 * 8;
    default: return 0;
  }
}

angel_kernel angel_peaks_kernel(
  angel_isa isa, angel_dtype what, [[maybe_unused]] angel_dtype second, [[maybe_unused]] angel_dtype third) {
  if (what == ANGEL_U8) return read_variant(isa);
#if defined(ANGEL_X86)
  const int wide = isa >= ANGEL_ISA_AVX512;
  if (what == ANGEL_F32) return wide ? f32_avx512 : isa == ANGEL_ISA_AVX2 ? f32_avx2 : NULL;
  if (what == ANGEL_BF16 && isa == ANGEL_ISA_AMX) return bf16_amx;
  if (what == ANGEL_INT8_ROWS && isa == ANGEL_ISA_AMX) return int8_amx;
  if (what == ANGEL_BF16) return isa >= ANGEL_ISA_AVX512_BF16 ? bf16_avx512 : NULL;
  if (what == ANGEL_INT8_ROWS) return wide ? int8_avx512 : isa == ANGEL_ISA_AVX2 ? int8_avx2 : NULL;
#elif defined(__aarch64__)
  if (what == ANGEL_F32) return f32_neon;
#endif
  return NULL;
}
