// softmax(q k^T) v and its gradient, block by block, so that no more than one block of scores exists (Dao et al. 2022).
// T queries, U keys, E head size; query t looks at keys up to offset + t, which is U - T + t for all keys. The scale is already in the queries.
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

// Rows of `columns` numbers, filled up with zeros to whole vectors.
template <typename T>
inline void readRows(const void* from, int64_t stride, int64_t rows, int64_t columns, float* to, int64_t width) {
  const T* source = static_cast<const T*>(from);
  for (int64_t i = 0; i < rows; i++, source += stride, to += width) {
    forEachVector(columns, [&](int64_t e, auto extent) { store(to + e, load(source + e, extent)); });
  }
}

// The same of rows at places.
template <typename T>
inline void readRowsAt(const int32_t* places, const void* from, int64_t stride, int64_t rows, int64_t columns,
                       float* to, int64_t width) {
  if (places == nullptr) return readRows<T>(from, stride, rows, columns, to, width);
  const T* source = static_cast<const T*>(from);
  for (int64_t i = 0; i < rows; i++) readRows<T>(source + places[i] * stride, stride, 1, columns, to + i * width, width);
}

template <typename T>
inline void writeRows(const float* from, int64_t width, int64_t rows, int64_t columns, void* to, int64_t stride) {
  T* target = static_cast<T*>(to);
  for (int64_t i = 0; i < rows; i++, target += stride, from += width) {
    forEachVector(columns, [&](int64_t e, auto extent) { store(target + e, load(from + e), extent); });
  }
}

// [rows, width] -> blocks of [columns, kBlock], zero where the last block has no row.
inline void transposeBlocks(const float* from, int64_t width, int64_t rows, int64_t columns, float* to) {
  for (int64_t row = 0; row < rows; row += kBlock, to += columns * kBlock) {
    const int64_t count = smaller(kBlock, rows - row);
    transpose(from + row * width, width, count, columns, to, kBlock);
    for (int64_t i = count; i < kBlock; i++) {
      for (int64_t e = 0; e < columns; e++) to[e * kBlock + i] = 0;
    }
  }
}

// a [rows, E] times a transposed block [E, kBlock]: [rows, kBlock], of which no more than each group of rows looks at.
inline void scoreBlock(const float* a, int64_t width, int64_t headDim, const float* transposed, float* scores,
                       int64_t query, int64_t rows, int64_t key, int64_t count, const Reach& reach) {
  const Product product{a, width, 1, transposed, kBlock, scores, kBlock};
  for (int64_t i = 0; i < rows; i += kGroup) {
    const int64_t end = smaller(i + kGroup, rows);
    const int64_t columns = roundUp(larger(0, reach.last(query + end - 1, key, count)), kColumns);
    multiply(product, i, end, columns, headDim, false);
  }
}

// c [rows, E] += probabilities [rows, kBlock] b [count, E]
inline void addProducts(const float* probabilities, const float* b, int64_t width, float* c, int64_t query,
                        int64_t rows, int64_t key, int64_t count, const Reach& reach) {
  const Product product{probabilities, kBlock, 1, b, width, c, width};
  for (int64_t i = 0; i < rows; i += kGroup) {
    const int64_t end = smaller(i + kGroup, rows);
    multiply(product, i, end, width, larger(0, reach.last(query + end - 1, key, count)), true);
  }
}

// c [count, E] += probabilities^T b [rows, E]; the first queries may look at none of the later keys.
inline void addTransposedProducts(const float* probabilities, const float* b, int64_t width, float* c, int64_t query,
                                  int64_t rows, int64_t key, int64_t count, const Reach& reach) {
  for (int64_t j = 0; j < count; j += kGroup) {
    const int64_t end = smaller(j + kGroup, count);
    const int64_t from = smaller(rows, larger(0, key + j - reach.offset - query));
    const Product product{probabilities + from * kBlock, 1, kBlock, b + from * width, width, c, width};
    multiply(product, j, end, width, rows - from, true);
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

// Scores to unnormalised probabilities, with what was summed up before scaled to the new maximum.
inline void softmaxRow(float* scores, int64_t columns, float& maximum, float& sum, float* output, int64_t width) {
  Vec most = broadcast(maximum);
  for (int64_t j = 0; j < columns; j += kWidth) most = larger(most, load(scores + j));
  const float next = largestOf(most);
  // Where nothing may be looked at, or all that may is NaN.
  const float base = next == kMinusInfinity ? 0 : next;
  Vec total{};
  for (int64_t j = 0; j < columns; j += kWidth) {
    const Vec p = exponential(load(scores + j) - base);
    store(scores + j, p);
    total += p;
  }
  const float scale = next == maximum ? 1 : exponential(broadcast(maximum - base))[0];
  sum = sum * scale + sumOf(total);
  if (next != maximum) {
    for (int64_t e = 0; e < width; e += kWidth) store(output + e, load(output + e) * scale);
  }
  maximum = next;
}

// A block of queries of one head and what was found of it so far.
struct QueryBlock {
  float* queries;  // [kBlock, width]
  float* output;   // [kBlock, width], not yet divided by the sums
  float* scores;   // [kBlock, kBlock]
  float *maxima, *sums;  // [kBlock]
  static int64_t numbers(int64_t width) { return 2 * kBlock * width + kBlock * kBlock + 2 * kBlock; }
  QueryBlock(float* scratch, int64_t width)
      : queries(scratch),
        output(queries + kBlock * width),
        scores(output + kBlock * width),
        maxima(scores + kBlock * kBlock),
        sums(maxima + kBlock) {}
};

// What is kept of a query between some of its keys and the next: its output, maximum and sum.
inline int64_t stateWidthOf(int64_t width) { return width + 2; }
inline int64_t attentionStateWidth(int64_t headDim) { return stateWidthOf(widthOf(headDim)); }

inline void beginRows(const QueryBlock& q, int64_t rows, int64_t width, const float* states) {
  if (states == nullptr) {
    for (int64_t i = 0; i < rows * width; i++) q.output[i] = 0;
    for (int64_t i = 0; i < rows; i++) q.maxima[i] = kMinusInfinity, q.sums[i] = 0;
    return;
  }
  for (int64_t i = 0; i < rows; i++, states += stateWidthOf(width)) {
    for (int64_t e = 0; e < width; e += kWidth) store(q.output + i * width + e, load(states + e));
    q.maxima[i] = states[width];
    q.sums[i] = states[width + 1];
  }
}

inline void keepRows(const QueryBlock& q, int64_t rows, int64_t width, float* states) {
  for (int64_t i = 0; i < rows; i++, states += stateWidthOf(width)) {
    for (int64_t e = 0; e < width; e += kWidth) store(states + e, load(q.output + i * width + e));
    states[width] = q.maxima[i];
    states[width + 1] = q.sums[i];
  }
}

// Queries from `query` on look at the keys of the block at `key`.
inline void attendBlock(const QueryBlock& q, int64_t width, int64_t headDim, const float* transposedKeys,
                        const float* values, int64_t query, int64_t rows, int64_t key, int64_t count,
                        const Reach& reach) {
  scoreBlock(q.queries, width, headDim, transposedKeys, q.scores, query, rows, key, count, reach);
  for (int64_t i = 0; i < rows; i++) {
    const int64_t columns = columnsOf(query, i, rows, key, count, reach);
    float* row = q.scores + i * kBlock;
    hide(row, reach.first(query + i, key), reach.last(query + i, key, count), columns, kMinusInfinity);
    softmaxRow(row, columns, q.maxima[i], q.sums[i], q.output + i * width, width);
  }
  addProducts(q.scores, values, width, q.output, query, rows, key, count, reach);
}

inline int64_t attentionScratch(int64_t numKeys, int64_t headDim) {
  const int64_t width = widthOf(headDim);
  const int64_t keys = roundUp(numKeys, kBlock);
  return keys * headDim + keys * width + QueryBlock::numbers(width);
}

template <typename T>
void attentionForwardOf(const AttentionItem& item, float* scratch) {
  const int64_t E = item.headDim, width = widthOf(E), numKeys = item.numKeys;
  const int64_t keys = roundUp(numKeys, kBlock);
  const Reach reach{item.offset, item.window};
  const int64_t stateWidth = stateWidthOf(width);
  float* values = scratch;
  float* transposedKeys = values + keys * width;
  const QueryBlock q(transposedKeys + keys * E, width);

  readRowsAt<T>(item.keyPlaces, item.key, item.keyStride, numKeys, E, values, width);
  transposeBlocks(values, width, numKeys, E, transposedKeys);
  readRowsAt<T>(item.keyPlaces, item.value, item.valueStride, numKeys, E, values, width);

  for (int64_t group = 0; group < item.numGroups; group++) {
    const T* query = static_cast<const T*>(item.query) + group * E;
    T* result = static_cast<T*>(item.output) + group * E;
    float* logSumExp = item.logSumExp + group * item.logSumExpStride;
    float* states = item.states + group * item.statesStride;
    for (int64_t t = 0; t < item.numQueries; t += kBlock) {
      const int64_t rows = smaller(kBlock, item.numQueries - t);
      readRows<T>(query + t * item.queryStride, item.queryStride, rows, E, q.queries, width);
      beginRows(q, rows, width, item.goesOn ? states + t * stateWidth : nullptr);
      const int64_t numBlocks = reach.numBlocks(t + rows - 1, numKeys);
      for (int64_t block = reach.firstBlock(t); block < numBlocks; block++) {
        const int64_t key = block * kBlock, count = smaller(kBlock, numKeys - key);
        attendBlock(q, width, E, transposedKeys + key * E, values + key * width, t, rows, key, count, reach);
      }
      if (item.isPart) {
        keepRows(q, rows, width, states + t * stateWidth);
        continue;
      }
      for (int64_t i = 0; i < rows; i++) {
        // Without a key at all the result is 0.
        const float inverse = q.sums[i] == 0 ? 0 : 1 / q.sums[i];
        for (int64_t e = 0; e < width; e++) q.output[i * width + e] *= inverse;
        logSumExp[t + i] = q.sums[i] == 0 ? 0 : q.maxima[i] + __builtin_logf(q.sums[i]);
      }
      writeRows<T>(q.output, width, rows, E, result + t * item.outputStride, item.outputStride);
    }
  }
}

inline int64_t attentionBackwardScratch(int64_t numKeys, int64_t headDim) {
  const int64_t width = widthOf(headDim);
  const int64_t keys = roundUp(numKeys, kBlock);
  return 2 * keys * headDim + 4 * keys * width + 4 * kBlock * width + 2 * kBlock * kBlock + kBlock;
}

// P = exp(S - logsumexp) in `scores`; dS = P (dP - delta) in place of dP.
inline void scoreGradients(float* scores, float* gradients, int64_t columns, float logSumExp, float delta) {
  for (int64_t j = 0; j < columns; j += kWidth) {
    const Vec p = exponential(load(scores + j) - logSumExp);
    store(scores + j, p);
    store(gradients + j, p * (load(gradients + j) - delta));
  }
}

template <typename T>
void attentionBackwardOf(const AttentionItem& item, float* scratch) {
  const int64_t E = item.headDim, width = widthOf(E), numKeys = item.numKeys;
  const int64_t keys = roundUp(numKeys, kBlock);
  const Reach reach{item.offset, item.window};
  float* transposedKeys = scratch;
  float* transposedValues = transposedKeys + keys * E;
  float* keyRows = transposedValues + keys * E;
  float* valueRows = keyRows + keys * width;  // read once, to be transposed
  float* keyGradients = valueRows + keys * width;
  float* valueGradients = keyGradients + keys * width;
  float* queries = valueGradients + keys * width;
  float* outputs = queries + kBlock * width;
  float* outputGradients = outputs + kBlock * width;
  float* queryGradients = outputGradients + kBlock * width;
  float* scores = queryGradients + kBlock * width;
  float* gradients = scores + kBlock * kBlock;
  float* deltas = gradients + kBlock * kBlock;

  readRows<T>(item.value, item.valueStride, numKeys, E, valueRows, width);
  transposeBlocks(valueRows, width, numKeys, E, transposedValues);
  readRows<T>(item.key, item.keyStride, numKeys, E, keyRows, width);
  transposeBlocks(keyRows, width, numKeys, E, transposedKeys);
  for (int64_t i = 0; i < keys * width; i++) keyGradients[i] = 0;
  for (int64_t i = 0; i < keys * width; i++) valueGradients[i] = 0;

  for (int64_t group = 0; group < item.numGroups; group++) {
    const int64_t head = group * E;
    const float* logSumExp = item.logSumExp + group * item.logSumExpStride;
    for (int64_t t = 0; t < item.numQueries; t += kBlock) {
      const int64_t rows = smaller(kBlock, item.numQueries - t);
      const int64_t at = t * item.outputStride + head;
      readRows<T>(static_cast<const T*>(item.query) + t * item.queryStride + head, item.queryStride, rows, E, queries,
                  width);
      readRows<T>(static_cast<const T*>(item.output) + at, item.outputStride, rows, E, outputs, width);
      readRows<T>(static_cast<const T*>(item.outputGradient) + at, item.outputStride, rows, E, outputGradients, width);
      for (int64_t i = 0; i < rows; i++) {
        Vec sum{};
        for (int64_t e = 0; e < width; e += kWidth)
          sum += load(outputs + i * width + e) * load(outputGradients + i * width + e);
        deltas[i] = sumOf(sum);
      }
      for (int64_t i = 0; i < rows * width; i++) queryGradients[i] = 0;
      const int64_t numBlocks = reach.numBlocks(t + rows - 1, numKeys);
      for (int64_t block = reach.firstBlock(t); block < numBlocks; block++) {
        const int64_t key = block * kBlock, count = smaller(kBlock, numKeys - key);
        scoreBlock(queries, width, E, transposedKeys + key * E, scores, t, rows, key, count, reach);
        scoreBlock(outputGradients, width, E, transposedValues + key * E, gradients, t, rows, key, count, reach);
        for (int64_t i = 0; i < rows; i++) {
          const int64_t columns = columnsOf(t, i, rows, key, count, reach);
          float* row = scores + i * kBlock;
          hide(row, reach.first(t + i, key), reach.last(t + i, key, count), columns, kMinusInfinity);
          scoreGradients(row, gradients + i * kBlock, columns, logSumExp[t + i], deltas[i]);
        }
        // Keys beyond what a group of rows looks at were not written: they are skipped below as well.
        addProducts(gradients, keyRows + key * width, width, queryGradients, t, rows, key, count, reach);
        addTransposedProducts(gradients, queries, width, keyGradients + key * width, t, rows, key, count, reach);
        addTransposedProducts(scores, outputGradients, width, valueGradients + key * width, t, rows, key, count,
                              reach);
      }
      writeRows<T>(queryGradients, width, rows, E,
                   static_cast<T*>(item.queryGradient) + t * item.queryGradientStride + head,
                   item.queryGradientStride);
    }
  }
  writeRows<T>(keyGradients, width, numKeys, E, item.keyGradient, item.keyGradientStride);
  writeRows<T>(valueGradients, width, numKeys, E, item.valueGradient, item.keyGradientStride);
}

void attentionForward(const AttentionItem& item, float* scratch) {
  if (item.isBfloat16) attentionForwardOf<uint16_t>(item, scratch);
  else attentionForwardOf<float>(item, scratch);
}

void attentionBackward(const AttentionItem& item, float* scratch) {
  if (item.isBfloat16) attentionBackwardOf<uint16_t>(item, scratch);
  else attentionBackwardOf<float>(item, scratch);
}

}  // namespace
}  // namespace adapt
