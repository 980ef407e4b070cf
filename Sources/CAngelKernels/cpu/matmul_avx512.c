// matmul with AVX-512 and VNNI: a lane is an output row, so one register is one panel and nothing is summed across lanes.
#include "matmul_engine.h"

#if defined(ANGEL_X86)
#include <immintrin.h>

#define TARGET ANGEL_TARGET_AVX512
#define TARGET_INLINE static inline __attribute__((always_inline)) TARGET

enum {
  PREFETCH_BYTES = 1024,
  ROWS = 6,  // of an int8 tile: twelve chains of dot products cover their latency
};

// --- Float32 rows against dense panels -------------------------------------------------------------------------------

// Two consecutive elements of depth of one panel, or one in the last odd step.
struct weight_pair {
  __m512 even, odd;
};

TARGET_INLINE struct weight_pair load_pair(angel_dtype dtype, const uint8_t *panel, int64_t pair) {
  if (dtype == ANGEL_F32) {
    return (struct weight_pair){
      _mm512_loadu_ps(panel + pair * 128), _mm512_loadu_ps(panel + pair * 128 + 64)};
  }
  const __m512i both = _mm512_loadu_si512(panel + pair * 64);
  if (dtype == ANGEL_BF16) {
    return (struct weight_pair){
      _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)),
      _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int32_t)0xffff0000)))};
  }
  return (struct weight_pair){
    _mm512_cvtph_ps(_mm512_cvtepi32_epi16(both)),
    _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(both, 16)))};
}

TARGET_INLINE __m512 load_last(angel_dtype dtype, const uint8_t *panel, int64_t depth) {
  if (dtype == ANGEL_F32) return _mm512_loadu_ps(panel + (depth - 1) * 64);
  return load_pair(dtype, panel, depth / 2).even;
}

TARGET_INLINE void dense_rows(
  angel_dtype dtype, const struct angel_dense_tile *t, int32_t row, const int rows, const int panels) {
  const float *x = t->input + row * t->input_stride;
  float *sums = t->sums + row * t->sums_stride;
  __m512 sum[8][4];
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      sum[r][p] = t->is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * t->sums_stride + 16 * p);
    }
  }
  for (int64_t k = 0; k + 1 < t->depth; k += 2) {
    struct weight_pair weight[4];
#pragma unroll
    for (int p = 0; p < panels; p++) {
      weight[p] = load_pair(dtype, t->weight + p * t->panel_bytes, k / 2);
      if (rows <= 2) {
        const char *ahead = (const char *)t->weight + p * t->panel_bytes + k * (dtype == ANGEL_F32 ? 64 : 32);
        _mm_prefetch(ahead + PREFETCH_BYTES, _MM_HINT_T0);
        if (dtype == ANGEL_F32) _mm_prefetch(ahead + PREFETCH_BYTES + 64, _MM_HINT_T0);
      }
    }
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const __m512 even = _mm512_set1_ps(x[r * t->input_stride + k]);
      const __m512 odd = _mm512_set1_ps(x[r * t->input_stride + k + 1]);
#pragma unroll
      for (int p = 0; p < panels; p++) {
        sum[r][p] = _mm512_fmadd_ps(weight[p].even, even, sum[r][p]);
        sum[r][p] = _mm512_fmadd_ps(weight[p].odd, odd, sum[r][p]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      if (t->depth % 2) {
        sum[r][p] = _mm512_fmadd_ps(
          load_last(dtype, t->weight + p * t->panel_bytes, t->depth),
          _mm512_set1_ps(x[r * t->input_stride + t->depth - 1]), sum[r][p]);
      }
      _mm512_storeu_ps(sums + r * t->sums_stride + 16 * p, sum[r][p]);
    }
  }
}

TARGET_INLINE void dense_panels(angel_dtype dtype, const struct angel_dense_tile *t, const int panels) {
  int32_t row = 0;
  if (panels <= 2) {
    for (; row + 8 <= t->rows; row += 8) dense_rows(dtype, t, row, 8, panels);
  }
  for (; row + 4 <= t->rows; row += 4) dense_rows(dtype, t, row, 4, panels);
  for (; row + 2 <= t->rows; row += 2) dense_rows(dtype, t, row, 2, panels);
  if (row < t->rows) dense_rows(dtype, t, row, 1, panels);
}

#define DENSE(name, dtype)                                                    \
  TARGET static void dense_##name(const struct angel_dense_tile *t) {         \
    switch (t->panels) {                                                      \
      case 1: dense_panels(dtype, t, 1); break;                               \
      case 2: dense_panels(dtype, t, 2); break;                               \
      default: dense_panels(dtype, t, 4); break;                              \
    }                                                                         \
  }
DENSE(f32, ANGEL_F32)
DENSE(f16, ANGEL_F16)
DENSE(bf16, ANGEL_BF16)

static void dense(angel_dtype dtype, const struct angel_dense_tile *t) {
  if (dtype == ANGEL_F32) return dense_f32(t);
  if (dtype == ANGEL_F16) return dense_f16(t);
  dense_bf16(t);
}

TARGET static void widen(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  for (int64_t pair = 0; pair < stretch.count; pair++) {
    const struct weight_pair both = dtype == ANGEL_F16 ? load_pair(ANGEL_F16, stretch.panel, stretch.first + pair)
                                                       : load_pair(ANGEL_BF16, stretch.panel, stretch.first + pair);
    _mm512_storeu_ps(values + pair * 32, both.even);
    _mm512_storeu_ps(values + pair * 32 + 16, both.odd);
  }
}

// --- Blocks in registers ---------------------------------------------------------------------------------------------

struct block_registers {
  __m512i q[8];
  __m512 d, minimum;
  __m512i scale[2];
};

TARGET_INLINE __m512 load_halves(const uint8_t *halves) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)halves));
}

TARGET_INLINE __m512 load_bytes(const uint8_t *bytes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)bytes)));
}

TARGET_INLINE void load_scales(angel_dtype dtype, const uint8_t *group, int64_t index, struct block_registers *block) {
  block->d = load_halves(group);
  if (dtype == ANGEL_Q4_1 || dtype == ANGEL_Q5_1) block->minimum = load_halves(group + 32);
  if (dtype == ANGEL_Q4_K || dtype == ANGEL_Q5_K) {
    const uint8_t *scale = group + 64 + index * 16;
    const __m512 minimum = _mm512_mul_ps(load_halves(group + 32), load_bytes(scale + 128));
    block->d = _mm512_mul_ps(block->d, load_bytes(scale));
    block->minimum = _mm512_xor_ps(minimum, _mm512_set1_ps(-0.0f));
  }
  if (dtype == ANGEL_Q6_K) {
    const uint8_t *scale = group + 32 + index * 32;
    block->scale[0] = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)scale));
    block->scale[1] = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(scale + 16)));
  }
}

TARGET_INLINE void load_quants(angel_dtype dtype, const uint8_t *packed, __m512i q[8]) {
  const __m512i fifteen = _mm512_set1_epi8(15);
  const int has_fifth = dtype == ANGEL_Q5_0 || dtype == ANGEL_Q5_1 || dtype == ANGEL_Q5_K;
  if (dtype == ANGEL_Q8_0) {
#pragma unroll
    for (int g = 0; g < 8; g++) q[g] = _mm512_loadu_si512(packed + 64 * g);
    return;
  }
#pragma unroll
  for (int j = 0; j < 4; j++) {
    const __m512i both = _mm512_loadu_si512(packed + (has_fifth ? 64 : 0) + 64 * j);
    q[j] = _mm512_and_si512(both, fifteen);
    q[4 + j] = _mm512_and_si512(_mm512_srli_epi16(both, 4), fifteen);
  }
  if (has_fifth) {
#pragma unroll
    for (int g = 0; g < 8; g++) {
      uint64_t high;
      memcpy(&high, packed + 8 * g, 8);
      q[g] = _mm512_mask_add_epi8(q[g], _cvtu64_mask64(high), q[g], _mm512_set1_epi8(16));
    }
  }
  if (dtype == ANGEL_Q6_K) {
#pragma unroll
    for (int g = 0; g < 8; g++) {
      const __m512i top = _mm512_loadu_si512(packed + 256 + 64 * (g / 4));
      const int shift = 2 * (g % 4);
      const __m512i placed = shift <= 4 ? _mm512_slli_epi16(top, (unsigned)(4 - shift)) : _mm512_srli_epi16(top, 2);
      q[g] = _mm512_or_si512(q[g], _mm512_and_si512(placed, _mm512_set1_epi8(0x30)));
    }
  }
}

// --- Int8 rows -------------------------------------------------------------------------------------------------------

// The activations of one row that one block needs.
struct block_input {
  const int8_t *q;
  float scale;
  int32_t sum[2];
};

TARGET_INLINE struct block_input input_at(struct angel_int8_row row, int64_t b) {
  return (struct block_input){row.q + b * ANGEL_BLOCK, row.scale[b], {row.sum[2 * b], row.sum[2 * b + 1]}};
}

TARGET_INLINE __m512i four(const int8_t *q, int g) {
  int32_t bytes;
  memcpy(&bytes, q + 4 * g, 4);
  return _mm512_set1_epi32(bytes);
}

// One more block in the chain of matmul.h, for one row.
TARGET_INLINE __m512 extend(
  __m512 sum, const struct block_registers *block, enum angel_block_kind kind, int32_t offset, struct block_input x) {
  const __m512 scale = _mm512_mul_ps(block->d, _mm512_set1_ps(x.scale));
  const int32_t both = x.sum[0] + x.sum[1];
  __m512i dot[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  if (kind == ANGEL_OFFSET_BLOCK) dot[0] = _mm512_set1_epi32(-offset * both);
  if (kind == ANGEL_HALVES_BLOCK) {
    dot[0] = _mm512_set1_epi32(-offset * x.sum[0]);
    dot[1] = _mm512_set1_epi32(-offset * x.sum[1]);
  }
#pragma unroll
  for (int g = 0; g < 8; g++) dot[g / 4] = _mm512_dpbusd_epi32(dot[g / 4], block->q[g], four(x.q, g));
  if (kind == ANGEL_HALVES_BLOCK) {
    dot[0] = _mm512_mullo_epi32(dot[0], block->scale[0]);
    dot[1] = _mm512_mullo_epi32(dot[1], block->scale[1]);
  }
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(dot[0], dot[1])), scale, sum);
  if (kind == ANGEL_MINIMUM_BLOCK) {
    sum = _mm512_fmadd_ps(block->minimum, _mm512_set1_ps(x.scale * (float)both), sum);
  }
  return sum;
}

// What a row contributes beside its quants, worked out once per stretch for all its blocks: where the integer sums start
// (minus offset times the sum of quants; one per half if the format has two scales) or, for formats with a minimum, the
// factor of the minimum.
union row_terms {
  int32_t start[2 * ANGEL_STRETCH_BLOCKS];
  float shift[ANGEL_STRETCH_BLOCKS];
};

TARGET_INLINE void find_terms(
  const struct angel_int8_tile *t, struct angel_int8_row x, enum angel_block_kind kind, union row_terms *terms) {
  const int32_t *sum = x.sum + 2 * t->first_block;
  const float *scale = x.scale + t->first_block;
  const int32_t offset = t->geometry.offset;
  switch (kind) {
    case ANGEL_OFFSET_BLOCK:
      for (int64_t b = 0; b < t->blocks; b++) terms->start[b] = -offset * (sum[2 * b] + sum[2 * b + 1]);
      break;
    case ANGEL_MINIMUM_BLOCK:
      for (int64_t b = 0; b < t->blocks; b++) terms->shift[b] = scale[b] * (float)(sum[2 * b] + sum[2 * b + 1]);
      break;
    case ANGEL_HALVES_BLOCK:
      for (int64_t h = 0; h < 2 * t->blocks; h++) terms->start[h] = -offset * sum[h];
      break;
  }
}

// Integer sums of groups first ..< last of one block, for all rows of the tile. Groups are the outer loop, so that few
// weights are live at a time and nothing spills.
TARGET_INLINE void dot_groups(
  const struct angel_block *const block[2], const int8_t *q, int64_t row_bytes, int first, int last, const int rows,
  const int panels, __m512i dot[ROWS][2]) {
#pragma unroll
  for (int g = first; g < last; g++) {
    __m512i quants[2];
#pragma unroll
    for (int p = 0; p < panels; p++) quants[p] = _mm512_load_si512(block[p]->q[g]);
#pragma unroll
    for (int r = 0; r < rows; r++) {
      const __m512i activation = four(q + r * row_bytes, g);
#pragma unroll
      for (int p = 0; p < panels; p++) dot[r][p] = _mm512_dpbusd_epi32(dot[r][p], quants[p], activation);
    }
  }
}

TARGET_INLINE void start_dots(
  const union row_terms *terms, enum angel_block_kind kind, int64_t index, const int rows, const int panels,
  __m512i dot[ROWS][2]) {
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      dot[r][p] = kind == ANGEL_MINIMUM_BLOCK ? _mm512_setzero_si512() : _mm512_set1_epi32(terms[r].start[index]);
    }
  }
}

// The integer sums of block `b`, scaled per half where the format has two scales.
TARGET_INLINE void dot_block(
  const struct angel_block *const block[2], const int8_t *q, int64_t row_bytes, const union row_terms *terms, int64_t b,
  enum angel_block_kind kind, const int rows, const int panels, __m512i dot[ROWS][2]) {
  if (kind != ANGEL_HALVES_BLOCK) {
    start_dots(terms, kind, b, rows, panels, dot);
    return dot_groups(block, q, row_bytes, 0, 8, rows, panels, dot);
  }
  __m512i second[ROWS][2];
  start_dots(terms, kind, 2 * b, rows, panels, dot);
  dot_groups(block, q, row_bytes, 0, 4, rows, panels, dot);
  start_dots(terms, kind, 2 * b + 1, rows, panels, second);
  dot_groups(block, q, row_bytes, 4, 8, rows, panels, second);
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) {
      dot[r][p] = _mm512_add_epi32(
        _mm512_mullo_epi32(dot[r][p], _mm512_load_si512(block[p]->scale[0])),
        _mm512_mullo_epi32(second[r][p], _mm512_load_si512(block[p]->scale[1])));
    }
  }
}

// The last step of a block: from the integer sums to the running float32 sums.
TARGET_INLINE __m512 accumulate(
  __m512 sum, __m512i dot, const struct angel_block *block, enum angel_block_kind kind, float x_scale, float shift) {
  const __m512 scale = _mm512_mul_ps(_mm512_load_ps(block->d), _mm512_set1_ps(x_scale));
  sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, sum);
  if (kind == ANGEL_MINIMUM_BLOCK) {
    sum = _mm512_fmadd_ps(_mm512_load_ps(block->minimum), _mm512_set1_ps(shift), sum);
  }
  return sum;
}

TARGET_INLINE void int8_rows(
  const struct angel_int8_tile *t, int32_t row, enum angel_block_kind kind, const int rows, const int panels) {
  float *sums = t->sums + row * t->sums_stride;
  const struct angel_int8_row x = angel_int8_row_at(t->input + row * t->row_bytes, t->depth);
  const int8_t *q = x.q + t->first_block * ANGEL_BLOCK;
  const float *scale = x.scale + t->first_block;
  const int64_t scale_stride = t->row_bytes / (int64_t)sizeof(float);
  union row_terms terms[ROWS];
  __m512 sum[ROWS][2];
#pragma unroll
  for (int r = 0; r < rows; r++) {
    find_terms(t, angel_int8_row_at(t->input + (row + r) * t->row_bytes, t->depth), kind, &terms[r]);
#pragma unroll
    for (int p = 0; p < panels; p++) {
      sum[r][p] = t->is_first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * t->sums_stride + 16 * p);
    }
  }
  for (int64_t b = 0; b < t->blocks; b++) {
    const struct angel_block *const block[2] = {&t->weight[b], &t->weight[t->weight_stride + b]};
    __m512i dot[ROWS][2];
    dot_block(block, q + b * ANGEL_BLOCK, t->row_bytes, terms, b, kind, rows, panels, dot);
#pragma unroll
    for (int r = 0; r < rows; r++) {
#pragma unroll
      for (int p = 0; p < panels; p++) {
        const float shift = kind == ANGEL_MINIMUM_BLOCK ? terms[r].shift[b] : 0;
        sum[r][p] = accumulate(sum[r][p], dot[r][p], block[p], kind, scale[r * scale_stride + b], shift);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; r++) {
#pragma unroll
    for (int p = 0; p < panels; p++) _mm512_storeu_ps(sums + r * t->sums_stride + 16 * p, sum[r][p]);
  }
}

TARGET_INLINE void int8_panels(const struct angel_int8_tile *t, enum angel_block_kind kind, const int panels) {
  int32_t row = 0;
  // Two integer sums per row and panel leave registers for four rows only.
  if (kind != ANGEL_HALVES_BLOCK) {
    for (; row + ROWS <= t->rows; row += ROWS) int8_rows(t, row, kind, ROWS, panels);
  }
  for (; row + 4 <= t->rows; row += 4) int8_rows(t, row, kind, 4, panels);
  for (; row + 2 <= t->rows; row += 2) int8_rows(t, row, kind, 2, panels);
  if (row < t->rows) int8_rows(t, row, kind, 1, panels);
}

#define INT8(name, kind)                                            \
  TARGET static void int8_##name(const struct angel_int8_tile *t) { \
    if (t->panels == 1) {                                           \
      int8_panels(t, kind, 1);                                      \
    } else {                                                        \
      int8_panels(t, kind, 2);                                      \
    }                                                               \
  }
INT8(offset, ANGEL_OFFSET_BLOCK)
INT8(minimum, ANGEL_MINIMUM_BLOCK)
INT8(halves, ANGEL_HALVES_BLOCK)

static void int8(const struct angel_int8_tile *t) {
  switch (t->geometry.kind) {
    case ANGEL_OFFSET_BLOCK: int8_offset(t); break;
    case ANGEL_MINIMUM_BLOCK: int8_minimum(t); break;
    case ANGEL_HALVES_BLOCK: int8_halves(t); break;
  }
}

// --- Unpacking and streaming -----------------------------------------------------------------------------------------

TARGET_INLINE void unpack_stretch(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  for (int64_t b = 0; b < stretch.count; b++) {
    const int64_t at = stretch.first + b, index = at % geometry.blocks;
    const uint8_t *group = stretch.panel + at / geometry.blocks * angel_group_bytes(geometry);
    struct block_registers block;
    load_scales(dtype, group, index, &block);
    load_quants(dtype, group + geometry.header_bytes + index * geometry.block_bytes, block.q);
#pragma unroll
    for (int g = 0; g < 8; g++) _mm512_store_si512(blocks[b].q[g], block.q[g]);
    _mm512_store_ps(blocks[b].d, block.d);
    if (geometry.kind == ANGEL_MINIMUM_BLOCK) _mm512_store_ps(blocks[b].minimum, block.minimum);
    if (geometry.kind == ANGEL_HALVES_BLOCK) {
      _mm512_store_si512(blocks[b].scale[0], block.scale[0]);
      _mm512_store_si512(blocks[b].scale[1], block.scale[1]);
    }
  }
}

TARGET static void unpack(angel_dtype dtype, struct angel_stretch stretch, struct angel_block *blocks) {
#define BODY(constant) unpack_stretch(constant, stretch, blocks)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}

TARGET_INLINE void dequantize_block(angel_dtype dtype, const struct block_registers *block, float *values) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  __m512 d[2] = {block->d, block->d};
  if (geometry.kind == ANGEL_HALVES_BLOCK) {
    d[0] = _mm512_mul_ps(block->d, _mm512_cvtepi32_ps(block->scale[0]));
    d[1] = _mm512_mul_ps(block->d, _mm512_cvtepi32_ps(block->scale[1]));
  }
#pragma unroll
  for (int e = 0; e < ANGEL_BLOCK; e++) {
    const __m512i shifted = _mm512_srli_epi32(block->q[e / 4], (unsigned)(8 * (e % 4)));
    const __m512i quant = _mm512_and_si512(shifted, _mm512_set1_epi32(255));
    const __m512i centred = _mm512_sub_epi32(quant, _mm512_set1_epi32(geometry.offset));
    __m512 value = _mm512_mul_ps(d[e / 16], _mm512_cvtepi32_ps(centred));
    if (geometry.kind == ANGEL_MINIMUM_BLOCK) value = _mm512_add_ps(value, block->minimum);
    _mm512_storeu_ps(values + e * ANGEL_PANEL, value);
  }
}

TARGET_INLINE void dequantize_stretch(angel_dtype dtype, struct angel_stretch stretch, float *values) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  for (int64_t b = 0; b < stretch.count; b++) {
    const int64_t at = stretch.first + b, index = at % geometry.blocks;
    const uint8_t *group = stretch.panel + at / geometry.blocks * angel_group_bytes(geometry);
    struct block_registers block;
    load_scales(dtype, group, index, &block);
    load_quants(dtype, group + geometry.header_bytes + index * geometry.block_bytes, block.q);
    dequantize_block(dtype, &block, values + b * ANGEL_BLOCK * ANGEL_PANEL);
  }
}

TARGET static void dequantize(angel_dtype dtype, struct angel_stretch stretch, float *values) {
#define BODY(constant) dequantize_stretch(constant, stretch, values)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}

TARGET_INLINE void stream_panel(angel_dtype dtype, struct angel_int8_row row, int64_t depth, const uint8_t *panel, float *sums) {
  const struct angel_geometry geometry = angel_geometry_of(dtype);
  const uint8_t *group = panel;
  __m512 sum = _mm512_setzero_ps();
  for (int64_t b = 0; b < depth / ANGEL_BLOCK; group += angel_group_bytes(geometry)) {
    const uint8_t *packed = group + geometry.header_bytes;
    for (int64_t index = 0; index < geometry.blocks; index++, b++, packed += geometry.block_bytes) {
      struct block_registers block;
#pragma unroll
      for (int32_t line = 0; line < geometry.block_bytes; line += 64) {
        _mm_prefetch((const char *)packed + PREFETCH_BYTES + line, _MM_HINT_T0);
      }
      load_scales(dtype, group, index, &block);
      load_quants(dtype, packed, block.q);
      sum = extend(sum, &block, geometry.kind, geometry.offset, input_at(row, b));
    }
  }
  _mm512_storeu_ps(sums, sum);
}

TARGET static void stream(angel_dtype dtype, const uint8_t *row, int64_t depth, const uint8_t *panel, float *sums) {
  const struct angel_int8_row x = angel_int8_row_at(row, depth);
#define BODY(constant) stream_panel(constant, x, depth, panel, sums)
  ANGEL_WITH_BLOCK_DTYPE(dtype, BODY)
#undef BODY
}

const struct angel_matmul_engine angel_matmul_avx512 = {
  .dense = dense, .int8 = int8, .dequantize = dequantize, .widen = widen, .unpack = unpack, .stream = stream};
#endif
