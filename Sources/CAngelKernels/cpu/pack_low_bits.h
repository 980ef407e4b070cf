// Packs one block of the formats of two and three bits, of looked-up nibbles and of ternary digits into a lane (pack.h),
// and the bit helpers that every format's packing shares. Block layouts are those that llama.cpp documents in
// ggml-common.h; values are checked against the `gguf` Python package.
#pragma once
#include "panels.h"

// Sixteen bytes of two nibbles, element e low and element 16+e high: q[j][4*lane+i] is byte 4*j+i.
static void pack_nibbles(const uint8_t *source, uint8_t *packed, int lane) {
  for (int j = 0; j < 4; j++) memcpy(packed + 64 * j + 4 * lane, source + 4 * j, 4);
}

// 32 high bits, element e at bit e: high[g] takes nibble g at bit 4*lane.
static void pack_high_bits(uint32_t bits, uint8_t *high, int lane) {
  for (int g = 0; g < 8; g++) high[8 * g + lane / 2] |= (uint8_t)((bits >> 4 * g & 15) << 4 * (lane % 2));
}

// Two-bit quants of sub-block `index`: bits 2*(index%4) of 32 source bytes that four sub-blocks share.
static void repack_two_bits(const uint8_t *source, int index, uint8_t *packed, int lane) {
  const uint8_t *bytes = source + 32 * (index / 4);
  for (int e = 0; e < 32; e++) {
    const int g = e / 4, quant = bytes[e] >> 2 * (index % 4) & 3;
    packed[64 * (g / 4) + 4 * lane + e % 4] |= (uint8_t)(quant << 2 * (g % 4));
  }
}

static void pack_q2_K(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source + 80, 2);
  memcpy(group + 32 + 2 * lane, source + 82, 2);
  for (int s = 0; s < 16; s++) group[64 + 16 * s + lane] = source[s];
  for (int b = 0; b < 8; b++) repack_two_bits(source + 16, b, group + 320 + 128 * b, lane);
}

// Sixteen 6-bit scales: low four bits in eight bytes, top two bits in four; stored + 32.
static void pack_q3_K(const uint8_t *source, uint8_t *group, int lane) {
  const uint8_t *scales = source + 96;
  memcpy(group + 2 * lane, source + 108, 2);
  for (int s = 0; s < 16; s++) {
    const int low = scales[s % 8] >> 4 * (s / 8) & 15, top = scales[8 + s % 4] >> 2 * (s / 4) & 3;
    group[32 + 16 * s + lane] = (uint8_t)((low | top << 4) - 32);
  }
  for (int b = 0; b < 8; b++) {
    uint8_t *packed = group + 288 + 192 * b;
    uint32_t high = 0;
    for (int e = 0; e < 32; e++) high |= (uint32_t)(source[e] >> b & 1) << e;
    pack_high_bits(high, packed, lane);
    repack_two_bits(source + 32, b, packed + 64, lane);
  }
}

static void pack_iq4_xs(const uint8_t *source, uint8_t *group, int lane) {
  uint16_t tops;
  memcpy(group + 2 * lane, source, 2);
  memcpy(&tops, source + 2, 2);
  for (int s = 0; s < 8; s++) {
    const int low = source[4 + s / 2] >> 4 * (s % 2) & 15;
    group[32 + 16 * s + lane] = (uint8_t)((low | (tops >> 2 * s & 3) << 4) - 32);
    pack_nibbles(source + 8 + 16 * s, group + 160 + 256 * s, lane);
  }
}

static void pack_tq2_0(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source + 64, 2);
  for (int b = 0; b < 8; b++) repack_two_bits(source, b, group + 32 + 128 * b, lane);
}

// Digit `place` of a byte that holds a fraction in base 3, rounded up to 256ths.
static int ternary_digit(uint8_t byte, int place) {
  static const uint8_t powers[5] = {1, 3, 9, 27, 81};
  return ((uint8_t)(byte * powers[place]) * 3) >> 8;
}

// Elements 0-159: five digits of 32 bytes; 160-239: five of 16; 240-255: four of 4.
static void pack_tq1_0(const uint8_t *source, uint8_t *group, int lane) {
  memcpy(group + 2 * lane, source + 52, 2);
  for (int k = 0; k < 256; k++) {
    const int from = k < 160 ? 0 : k < 240 ? 160 : 240, width = k < 160 ? 32 : k < 240 ? 16 : 4;
    const uint8_t byte = source[(k < 160 ? 0 : k < 240 ? 32 : 48) + (k - from) % width];
    const int digit = ternary_digit(byte, (k - from) / width), e = k % 32, g = e / 4;
    group[32 + 128 * (k / 32) + 64 * (g / 4) + 4 * lane + e % 4] |= (uint8_t)(digit << 2 * (g % 4));
  }
}
