// What attention reads and multiplies a block at a time: rows, stacks of rows, transposed blocks, and the products that skip hidden scores.
// T queries, U keys, E head size. A factor holds one number, or two where the products are of pairs (tiles.h): matrices lie in memory as
//   rows    [rows, width]: numbers one after another; as factors [rows, width / numbers of a factor]
//   stacks  [rows / numbers of a factor, width]: each factor holds a column of neighbouring rows; of single numbers the same as rows
#pragma once

#include "loops.h"
#include "tiles.h"

namespace adapt {
namespace {

constexpr int64_t kBlock = kKeyBlock;  // queries and keys of a block: its scores are 16 KiB
constexpr int64_t kGroup = 8;   // neighbouring rows that a product goes through together
constexpr int64_t kColumns = kWidth > kGroup ? kWidth : kGroup;  // scores are computed in stretches of this many keys

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Columns of all matrices of one head: E, filled up with zeros.
inline int64_t widthOf(int64_t headDim) { return roundUp(headDim, kWidth); }

// Which keys of a block a query may look at.
struct Reach {
  int64_t offset, window;
  // The first and the one after the last, within the block at `key`; empty where first >= last.
  int64_t first(int64_t query, int64_t key) const { return larger(0, query + offset - window + 1 - key); }
  int64_t last(int64_t query, int64_t key, int64_t count) const {
    return smaller(count, query + offset + 1 - key);
  }
  // Blocks of keys of a block of queries.
  int64_t firstBlock(int64_t query) const { return larger(0, query + offset - window + 1) / kBlock; }
  int64_t numBlocks(int64_t lastQuery, int64_t numKeys) const {
    const int64_t end = smaller(numKeys, lastQuery + offset + 1);
    return end <= 0 ? 0 : (end + kBlock - 1) / kBlock;
  }
};

// A row at its place, or one after another where there are no places.
template <typename T>
inline const T* rowAt(const T* from, int64_t stride, const int32_t* places, int64_t i) {
  return from + (places ? places[i] : i) * stride;
}

// Rows of `columns` numbers, filled up with zeros to whole vectors.
template <typename T>
inline void readRows(const T* from, int64_t stride, const int32_t* places, int64_t rows, int64_t columns, float* to,
                     int64_t width) {
  for (int64_t i = 0; i < rows; i++, to += width) {
    const T* row = rowAt(from, stride, places, i);
    forEachVector(columns, [&](int64_t e, auto extent) { store(to + e, load(row + e, extent)); });
  }
}

#if defined(__AVX512BF16__)
inline HalfVec loadHalves(const uint16_t* from, Whole) { return loadHalves(from); }
inline HalfVec loadHalves(const uint16_t* from, First first) {
  HalfVec halves{};
  for (int64_t i = 0; i < first.count; i++) halves[i] = from[i];
  return halves;
}

inline void storePairs(BfloatPair* to, HalfVec first, HalfVec second) {
  const BitsVec pairs = __builtin_convertvector(first, BitsVec) | __builtin_convertvector(second, BitsVec) << 16;
  __builtin_memcpy(to, &pairs, sizeof pairs);
}

inline void readRows(const uint16_t* from, int64_t stride, const int32_t* places, int64_t rows, int64_t columns,
                     BfloatPair* to, int64_t width) {
  for (int64_t i = 0; i < rows; i++, to += width / 2) {
    const uint16_t* row = rowAt(from, stride, places, i);
    forEachVector(columns, [&](int64_t e, auto extent) {
      const HalfVec halves = loadHalves(row + e, extent);
      __builtin_memcpy(to + e / 2, &halves, sizeof halves);
    });
  }
}

// The same as stacks; of an odd last row the other half is 0.
inline void readStacks(const uint16_t* from, int64_t stride, const int32_t* places, int64_t rows, int64_t columns,
                       BfloatPair* to, int64_t width) {
  for (int64_t i = 0; i < rows; i += 2, to += width) {
    const uint16_t* first = rowAt(from, stride, places, i);
    const uint16_t* second = i + 1 < rows ? rowAt(from, stride, places, i + 1) : nullptr;
    forEachVector(columns, [&](int64_t e, auto extent) {
      storePairs(to + e, loadHalves(first + e, extent), second ? loadHalves(second + e, extent) : HalfVec{});
    });
  }
}
#endif

template <typename T>
inline void readStacks(const T* from, int64_t stride, const int32_t* places, int64_t rows, int64_t columns, float* to,
                       int64_t width) {
  readRows(from, stride, places, rows, columns, to, width);
}

template <typename T>
inline void writeRows(const float* from, int64_t width, int64_t rows, int64_t columns, void* to, int64_t stride) {
  T* target = static_cast<T*>(to);
  for (int64_t i = 0; i < rows; i++, target += stride, from += width) {
    forEachVector(columns, [&](int64_t e, auto extent) { store(target + e, load(from + e), extent); });
  }
}

// Factors of a head: E numbers, the last one filled up with a zero.
template <typename Factor>
inline int64_t depthOf(int64_t numbers) {
  return (numbers + kNumbersOf<Factor> - 1) / kNumbersOf<Factor>;
}

// Rows of factors [rows, stride] -> blocks of [depth, kBlock], zero where the last block has no row.
template <typename Factor>
inline void transposeBlocks(const Factor* from, int64_t stride, int64_t rows, int64_t depth, Factor* to) {
  for (int64_t row = 0; row < rows; row += kBlock, to += depth * kBlock) {
    const int64_t count = smaller(kBlock, rows - row);
    // Moved and not computed with: any four bytes will do.
    transpose(reinterpret_cast<const float*>(from + row * stride), stride, count, depth, reinterpret_cast<float*>(to), kBlock);
    for (int64_t i = count; i < kBlock; i++) {
      for (int64_t e = 0; e < depth; e++) to[e * kBlock + i] = Factor{};
    }
  }
}

// Rows a [rows, E] times a transposed block [E, kBlock]: [rows, kBlock], of which no more than each group of rows looks at.
template <typename Factor>
inline void scoreBlock(const Factor* a, int64_t width, int64_t headDim, const Factor* transposed, float* scores,
                       int64_t query, int64_t rows, int64_t key, int64_t count, const Reach& reach) {
  const Product<Factor> product{a, width / kNumbersOf<Factor>, 1, transposed, kBlock, scores, kBlock};
  for (int64_t i = 0; i < rows; i += kGroup) {
    const int64_t end = smaller(i + kGroup, rows);
    const int64_t columns = roundUp(larger(0, reach.last(query + end - 1, key, count)), kColumns);
    multiply(product, i, end, columns, depthOf<Factor>(headDim), false);
  }
}

// c [rows, E] += rows of probabilities [rows, kBlock] times stacks b [count, E]
template <typename Factor>
inline void addProducts(const NumberOf<Factor>* probabilities, const Factor* b, int64_t width, float* c, int64_t query,
                        int64_t rows, int64_t key, int64_t count, const Reach& reach) {
  const auto* a = reinterpret_cast<const Factor*>(probabilities);
  const Product<Factor> product{a, kBlock / kNumbersOf<Factor>, 1, b, width, c, width};
  for (int64_t i = 0; i < rows; i += kGroup) {
    const int64_t end = smaller(i + kGroup, rows);
    multiply(product, i, end, width, depthOf<Factor>(larger(0, reach.last(query + end - 1, key, count))), true);
  }
}

// c [count, E] += stacks of probabilities^T [rows, kBlock] times stacks b [rows, E]; the first queries may look at none of the later keys.
template <typename Factor>
inline void addTransposedProducts(const Factor* probabilities, const Factor* b, int64_t width, float* c, int64_t query,
                                  int64_t rows, int64_t key, int64_t count, const Reach& reach) {
  const int64_t numStacks = depthOf<Factor>(rows);
  for (int64_t j = 0; j < count; j += kGroup) {
    const int64_t end = smaller(j + kGroup, count);
    const int64_t first = larger(0, key + j - reach.offset - query);
    if (first >= rows) return;
    const int64_t from = first / kNumbersOf<Factor>;
    const Product<Factor> product{probabilities + from * kBlock, 1, kBlock, b + from * width, width, c, width};
    multiply(product, j, end, width, numStacks - from, true);
  }
}

// -inf or 0 where a query may not look, among the first `columns` of its scores.
inline void hide(float* scores, int64_t first, int64_t last, int64_t columns, float value) {
  for (int64_t j = 0; j < smaller(first, columns); j++) scores[j] = value;
  for (int64_t j = larger(0, last); j < columns; j++) scores[j] = value;
}

inline int64_t columnsOf(int64_t query, int64_t i, int64_t rows, int64_t key, int64_t count, const Reach& reach) {
  const int64_t end = smaller(i / kGroup * kGroup + kGroup, rows);
  return roundUp(larger(0, reach.last(query + end - 1, key, count)), kColumns);
}

}  // namespace
}  // namespace adapt
