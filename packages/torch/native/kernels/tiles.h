// Transposes and small matrix products out of registers: C [M, N] = or += A [M, K] B [K, N], where N is a whole number of vectors.
#pragma once

#include <type_traits>

#include "vector.h"

namespace adapt {
namespace {

// What one instruction multiplies: a number, or two of bfloat16 that follow one another along the sum.
struct __attribute__((may_alias)) BfloatPair {
  uint32_t bits;
};

// Of numbers in memory of type T: pairs where the processor adds up products of pairs in float32.
#if defined(__AVX512BF16__)
template <typename T>
using FactorOf = std::conditional_t<std::is_same_v<T, uint16_t>, BfloatPair, float>;
#else
template <typename T>
using FactorOf = float;
#endif

template <typename Factor>
constexpr int64_t kNumbersOf = std::is_same_v<Factor, BfloatPair> ? 2 : 1;
// How the numbers of a factor are stored.
template <typename Factor>
using NumberOf = std::conditional_t<std::is_same_v<Factor, BfloatPair>, uint16_t, float>;

inline Vec loadFactors(const float* from) { return load(from); }
inline Vec plusProduct(Vec sum, float left, Vec right) { return sum + broadcast(left) * right; }
#if defined(__AVX512BF16__)
inline BitsVec loadFactors(const BfloatPair* from) {
  typedef uint32_t UnalignedBitsVec __attribute__((vector_size(4 * ADAPT_VECTOR_WIDTH), aligned(4), may_alias));
  return *reinterpret_cast<const UnalignedBitsVec*>(from);
}
inline Vec plusProduct(Vec sum, BfloatPair left, BitsVec right) {
  return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)(BitsVec{} + left.bits), (__m512bh)right);
}
#endif

// A in any strides (its transpose costs nothing), B and C by rows.
template <typename Factor>
struct Product {
  const Factor* a;
  int64_t aRow, aColumn;
  const Factor* b;
  int64_t bRow;
  float* c;
  int64_t cRow;
};

template <int kRows, int kVectors, typename Factor>
inline __attribute__((always_inline)) void tile(const Product<Factor>& p, int64_t row, int64_t column, int64_t depth,
                                                bool accumulate) {
  Vec sums[kRows][kVectors];
  float* c = p.c + row * p.cRow + column;
#pragma GCC unroll 16
  for (int i = 0; i < kRows; i++) {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; j++) sums[i][j] = accumulate ? load(c + i * p.cRow + j * kWidth) : Vec{};
  }
  const Factor* a = p.a + row * p.aRow;
  const Factor* b = p.b + column;
  for (int64_t k = 0; k < depth; k++, a += p.aColumn, b += p.bRow) {
    decltype(loadFactors(b)) right[kVectors];
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; j++) right[j] = loadFactors(b + j * kWidth);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; i++) {
      const Factor left = a[i * p.aRow];
#pragma GCC unroll 16
      for (int j = 0; j < kVectors; j++) sums[i][j] = plusProduct(sums[i][j], left, right[j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; i++) {
#pragma GCC unroll 16
    for (int j = 0; j < kVectors; j++) store(c + i * p.cRow + j * kWidth, sums[i][j]);
  }
}

template <int kRows, typename Factor>
inline void tileRows(const Product<Factor>& p, int64_t row, int64_t columns, int64_t depth, bool accumulate) {
  int64_t column = 0;
#if ADAPT_VECTOR_WIDTH == 16
  // 32 registers: more sums at once where rows are few.
  if constexpr (kRows <= 4) {
    for (; column + 4 * kWidth <= columns; column += 4 * kWidth) tile<kRows, 4>(p, row, column, depth, accumulate);
  }
  constexpr int kPair = 2;
#else
  constexpr int kPair = kRows <= 4 ? 2 : 1;
#endif
  for (; column + kPair * kWidth <= columns; column += kPair * kWidth)
    tile<kRows, kPair>(p, row, column, depth, accumulate);
  for (; column < columns; column += kWidth) tile<kRows, 1>(p, row, column, depth, accumulate);
}

// Rows [row, rowEnd) of the product, `columns` of them a multiple of the vector's width. The depth is in factors.
template <typename Factor>
inline void multiply(const Product<Factor>& p, int64_t row, int64_t rowEnd, int64_t columns, int64_t depth,
                     bool accumulate) {
  const int64_t step = ADAPT_VECTOR_WIDTH == 16 && columns <= 2 * kWidth ? 8 : 4;
  if (step == 8) {
    for (; row + 8 <= rowEnd; row += 8) tileRows<8>(p, row, columns, depth, accumulate);
  }
  for (; row + 4 <= rowEnd; row += 4) tileRows<4>(p, row, columns, depth, accumulate);
  for (; row < rowEnd; row++) tileRows<1>(p, row, columns, depth, accumulate);
}

// Whole tiles in registers, what is left at the edges number by number.
inline void transpose(const float* from, int64_t fromStride, int64_t rows, int64_t columns, float* to, int64_t toStride) {
  for (int64_t i = 0; i < rows; i += kWidth) {
    for (int64_t j = 0; j < columns; j += kWidth) {
      const float* source = from + i * fromStride + j;
      float* target = to + j * toStride + i;
      if (i + kWidth <= rows && j + kWidth <= columns) {
        Vec tile[kWidth];
        for (int64_t r = 0; r < kWidth; r++) tile[r] = load(source + r * fromStride);
        transposeTile(tile);
        for (int64_t r = 0; r < kWidth; r++) store(target + r * toStride, tile[r]);
        continue;
      }
      for (int64_t r = 0; r < kWidth && i + r < rows; r++) {
        for (int64_t c = 0; c < kWidth && j + c < columns; c++) target[c * toStride + r] = source[r * fromStride + c];
      }
    }
  }
}

inline int64_t roundUp(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

}  // namespace
}  // namespace adapt
