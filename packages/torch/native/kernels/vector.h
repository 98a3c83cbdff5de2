// Vectors of float32 in the compiler's own vector types, for the instruction set that a file is compiled for.
// Included by the files loops.*.cpp alone: whatever is here has internal linkage, so that no other file can be given code
// for a processor that it was not compiled for.
#pragma once

#include <cstdint>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define ADAPT_VECTOR_WIDTH 16
#elif defined(__AVX2__)
#define ADAPT_VECTOR_WIDTH 8
#else
#define ADAPT_VECTOR_WIDTH 4
#endif

namespace adapt {
namespace {

constexpr int kWidth = ADAPT_VECTOR_WIDTH;
constexpr float kMinusInfinity = -__builtin_inff();

typedef float Vec __attribute__((vector_size(4 * ADAPT_VECTOR_WIDTH)));
typedef int32_t IntVec __attribute__((vector_size(4 * ADAPT_VECTOR_WIDTH)));
typedef float UnalignedVec __attribute__((vector_size(4 * ADAPT_VECTOR_WIDTH), aligned(4), may_alias));

inline Vec load(const float* from) { return *reinterpret_cast<const UnalignedVec*>(from); }
inline void store(float* to, Vec x) { *reinterpret_cast<UnalignedVec*>(to) = x; }
inline Vec broadcast(float x) { return x - Vec{}; }
inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }

// Numbers `distance` apart (a power of 2) change places.
template <int distance>
inline Vec swapped(Vec x) {
  Vec y;
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; i++) y[i] = x[i ^ distance];
  return y;
}

// Rows become columns: blocks of `distance` numbers change places beside the diagonal, then the halves of these.
template <int distance = kWidth / 2>
inline void transposeTile(Vec (&tile)[kWidth]) {
  IntVec isSecond;
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; i++) isSecond[i] = i & distance ? -1 : 0;
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; i++) {
    if (i & distance) continue;
    const Vec first = tile[i], second = tile[i + distance];
    tile[i] = isSecond ? swapped<distance>(second) : first;
    tile[i + distance] = isSecond ? second : swapped<distance>(first);
  }
  if constexpr (distance > 1) transposeTile<distance / 2>(tile);
}

// All numbers of a vector put together, in as many steps as its width has factors of 2.
template <int distance = kWidth / 2, typename Combine>
inline float combined(Vec x, Combine combine) {
  const Vec both = combine(x, swapped<distance>(x));
  if constexpr (distance > 1) return combined<distance / 2>(both, combine);
  else return both[0];
}

inline float sumOf(Vec x) {
  return combined(x, [](Vec a, Vec b) { return a + b; });
}

inline float largestOf(Vec x) {
  return combined(x, [](Vec a, Vec b) { return larger(a, b); });
}

// e^x for x <= 88, relative error below 2e-7; 0 below -87; NaN of NaN.
// x = n ln 2 + r with |r| <= ln 2 / 2, and e^r by its Taylor polynomial of degree 7 (remainder 5e-9).
inline Vec exponential(Vec x) {
  constexpr float kLog2e = 1.44269504f, kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which its low bits hold
  constexpr float kLeast = -87.0f;
  const Vec clamped = larger(x, broadcast(kLeast));
  const Vec shifted = clamped * kLog2e + kRound;
  const Vec n = shifted - kRound;
  const Vec r = (clamped - n * kLn2High) - n * kLn2Low;
  Vec p = broadcast(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const IntVec power = ((IntVec)shifted - (IntVec)broadcast(kRound) + 127) << 23;
  const Vec y = p * (Vec)power;
  return x >= kLeast ? y : x < kLeast ? Vec{} : x;
}

typedef uint32_t BitsVec __attribute__((vector_size(4 * ADAPT_VECTOR_WIDTH)));
typedef uint16_t HalfVec __attribute__((vector_size(2 * ADAPT_VECTOR_WIDTH)));
typedef uint16_t UnalignedHalfVec __attribute__((vector_size(2 * ADAPT_VECTOR_WIDTH), aligned(2), may_alias));

// bfloat16 is the upper half of a float32; a rounding is to the nearest, to even in the middle, and NaN stays one.
inline HalfVec loadHalves(const uint16_t* from) { return *reinterpret_cast<const UnalignedHalfVec*>(from); }
inline Vec load(const uint16_t* from) { return (Vec)(__builtin_convertvector(loadHalves(from), BitsVec) << 16); }

inline HalfVec halvesOf(Vec x) {
#if defined(__AVX512BF16__)
  return (HalfVec)_mm512_cvtneps_pbh((__m512)x);  // the same but for numbers below 2^-126, which become 0
#else
  const BitsVec bits = (BitsVec)x;
  const BitsVec rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  const BitsVec kept = x == x ? rounded : BitsVec{} + 0x7FC0;
  return __builtin_convertvector(kept, HalfVec);
#endif
}

inline void store(uint16_t* to, Vec x) { *reinterpret_cast<UnalignedHalfVec*>(to) = halvesOf(x); }

// How much of a vector a place holds: all, or the first numbers of it (the others are read as 0 and not written).
struct Whole {};
struct First {
  int64_t count;
};

template <typename T>
inline Vec load(const T* from, Whole) {
  return load(from);
}

template <typename T>
inline Vec load(const T* from, First first) {
  T numbers[kWidth] = {};
  for (int64_t i = 0; i < first.count; i++) numbers[i] = from[i];
  return load(numbers);
}

template <typename T>
inline void store(T* to, Vec x, Whole) {
  store(to, x);
}

template <typename T>
inline void store(T* to, Vec x, First first) {
  T numbers[kWidth];
  store(numbers, x);
  for (int64_t i = 0; i < first.count; i++) to[i] = numbers[i];
}

// body(i, extent) for every vector of a row of `count` numbers.
template <typename Body>
inline __attribute__((always_inline)) void forEachVector(int64_t count, Body body) {
  int64_t i = 0;
  for (; i + kWidth <= count; i += kWidth) body(i, Whole{});
  if (i < count) body(i, First{count - i});
}

// The sum of what `term(i, extent)` gives over a row, by four sums that do not wait for each other. What is made of it once a row is
// made in float64: it goes into every number of the row.
template <typename Term>
inline __attribute__((always_inline)) double sumOverRow(int64_t count, Term term) {
  Vec sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kWidth <= count; i += 4 * kWidth) {
    for (int k = 0; k < 4; k++) sums[k] += term(i + k * kWidth, Whole{});
  }
  for (; i + kWidth <= count; i += kWidth) sums[0] += term(i, Whole{});
  if (i < count) sums[1] += term(i, First{count - i});
  const Vec all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double sum = 0;
  for (int k = 0; k < kWidth; k++) sum += static_cast<double>(all[k]);
  return sum;
}

template <typename Term>
inline __attribute__((always_inline)) double meanOverRow(int64_t count, Term term) {
  return sumOverRow(count, term) / static_cast<double>(count);
}

// body(In, Out) with a number of either dtype: float32 as float, bfloat16 as uint16_t.
template <typename Body>
inline void withDtypes(bool isInputBfloat16, bool isOutputBfloat16, Body body) {
  if (isInputBfloat16) {
    if (isOutputBfloat16) body(uint16_t{}, uint16_t{});
    else body(uint16_t{}, float{});
  } else {
    if (isOutputBfloat16) body(float{}, uint16_t{});
    else body(float{}, float{});
  }
}

}  // namespace
}  // namespace adapt
