// softmax(q k^T) v and its gradient, block by block, so that no more than one block of scores exists (Dao et al. 2022).
// T queries, U keys, E head size; query t looks at keys up to offset + t, which is U - T + t for all keys. The scale is already in the queries.
// Sums are float32. Where products are of pairs, probabilities and their gradients are rounded to bfloat16 before they are multiplied.
#pragma once

#include "attention_blocks.h"

namespace adapt {
namespace {

// Scores to unnormalised probabilities, with what was summed up before scaled to the new maximum. Those of float32 may take the scores' place.
template <typename Number>
inline void softmaxRow(const float* scores, Number* probabilities, int64_t columns, float& maximum, float& sum,
                       float* output, int64_t width) {
  Vec most = broadcast(maximum);
  for (int64_t j = 0; j < columns; j += kWidth) most = larger(most, load(scores + j));
  const float next = largestOf(most);
  // Where nothing may be looked at, or all that may is NaN.
  const float base = next == kMinusInfinity ? 0 : next;
  Vec total{};
  for (int64_t j = 0; j < columns; j += kWidth) {
    store(probabilities + j, exponential(load(scores + j) - base));
    total += load(probabilities + j);
  }
  const float scale = next == maximum ? 1 : exponential(broadcast(maximum - base))[0];
  sum = sum * scale + sumOf(total);
  if (next != maximum) {
    for (int64_t e = 0; e < width; e += kWidth) store(output + e, load(output + e) * scale);
  }
  maximum = next;
}

// Memory of `scratch`, a piece after another.
struct Scratch {
  float* next;
  float* numbers(int64_t count) {
    float* piece = next;
    next += count;
    return piece;
  }
  template <typename Factor>
  Factor* factors(int64_t count) {
    return reinterpret_cast<Factor*>(numbers(count));
  }
};

// A block of queries of one head and what was found of it so far.
template <typename Factor>
struct QueryBlock {
  Factor* queries;  // rows [kBlock, width]
  float* output;    // [kBlock, width], not yet divided by the sums
  float* scores;    // [kBlock, kBlock]
  NumberOf<Factor>* probabilities;  // rows [kBlock, kBlock]
  float *maxima, *sums;             // [kBlock]
  QueryBlock(Scratch& scratch, int64_t width)
      : queries(scratch.factors<Factor>(kBlock * width)),
        output(scratch.numbers(kBlock * width)),
        scores(scratch.numbers(kBlock * kBlock)),
        maxima(scratch.numbers(kBlock)),
        sums(scratch.numbers(kBlock)) {
    if constexpr (kNumbersOf<Factor> == 1) probabilities = scores;
    else probabilities = reinterpret_cast<uint16_t*>(scratch.numbers(kBlock * kBlock / 2));
  }
};

// What is kept of a query between some of its keys and the next: its output, maximum and sum.
inline int64_t stateWidthOf(int64_t width) { return width + 2; }
inline int64_t attentionStateWidth(int64_t headDim) { return stateWidthOf(widthOf(headDim)); }

template <typename Factor>
inline void beginRows(const QueryBlock<Factor>& q, int64_t rows, int64_t width, const float* states) {
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

template <typename Factor>
inline void keepRows(const QueryBlock<Factor>& q, int64_t rows, int64_t width, float* states) {
  for (int64_t i = 0; i < rows; i++, states += stateWidthOf(width)) {
    for (int64_t e = 0; e < width; e += kWidth) store(states + e, load(q.output + i * width + e));
    states[width] = q.maxima[i];
    states[width + 1] = q.sums[i];
  }
}

// Queries from `query` on look at the keys of the block at `key`.
template <typename Factor>
inline void attendBlock(const QueryBlock<Factor>& q, int64_t width, int64_t headDim, const Factor* transposedKeys,
                        const Factor* values, int64_t query, int64_t rows, int64_t key, int64_t count,
                        const Reach& reach) {
  scoreBlock(q.queries, width, headDim, transposedKeys, q.scores, query, rows, key, count, reach);
  for (int64_t i = 0; i < rows; i++) {
    const int64_t columns = columnsOf(query, i, rows, key, count, reach);
    float* row = q.scores + i * kBlock;
    hide(row, reach.first(query + i, key), reach.last(query + i, key, count), columns, kMinusInfinity);
    softmaxRow(row, q.probabilities + i * kBlock, columns, q.maxima[i], q.sums[i], q.output + i * width, width);
  }
  addProducts(q.probabilities, values, width, q.output, query, rows, key, count, reach);
}

// Of either kind of factors.
inline int64_t attentionScratch(int64_t numKeys, int64_t headDim) {
  const int64_t width = widthOf(headDim);
  const int64_t keys = roundUp(numKeys, kBlock);
  return keys * headDim + keys * width + 2 * kBlock * width + 2 * kBlock * kBlock + 2 * kBlock;
}

template <typename T>
void attentionForwardOf(const AttentionItem& item, float* memory) {
  using Factor = FactorOf<T>;
  constexpr int64_t kNumbers = kNumbersOf<Factor>;
  const int64_t E = item.headDim, width = widthOf(E), numKeys = item.numKeys;
  const int64_t keys = roundUp(numKeys, kBlock), depth = depthOf<Factor>(E);
  const Reach reach{item.offset, item.window};
  const int64_t stateWidth = stateWidthOf(width);
  Scratch scratch{memory};
  Factor* values = scratch.factors<Factor>(keys * width);
  Factor* transposedKeys = scratch.factors<Factor>(keys * E);
  const QueryBlock<Factor> q(scratch, width);

  readRows(static_cast<const T*>(item.key), item.keyStride, item.keyPlaces, numKeys, E, values, width);
  transposeBlocks(values, width / kNumbers, numKeys, depth, transposedKeys);
  readStacks(static_cast<const T*>(item.value), item.valueStride, item.keyPlaces, numKeys, E, values, width);

  for (int64_t group = 0; group < item.numGroups; group++) {
    const T* query = static_cast<const T*>(item.query) + group * E;
    T* result = static_cast<T*>(item.output) + group * E;
    float* logSumExp = item.logSumExp + group * item.logSumExpStride;
    float* states = item.states + group * item.statesStride;
    for (int64_t t = 0; t < item.numQueries; t += kBlock) {
      const int64_t rows = smaller(kBlock, item.numQueries - t);
      readRows(query + t * item.queryStride, item.queryStride, nullptr, rows, E, q.queries, width);
      beginRows(q, rows, width, item.goesOn ? states + t * stateWidth : nullptr);
      const int64_t numBlocks = reach.numBlocks(t + rows - 1, numKeys);
      for (int64_t block = reach.firstBlock(t); block < numBlocks; block++) {
        const int64_t key = block * kBlock, count = smaller(kBlock, numKeys - key);
        attendBlock(q, width, E, transposedKeys + key * depth, values + key / kNumbers * width, t, rows, key, count, reach);
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

// Rows of queries, or of their gradients, in both forms that they are multiplied in.
template <typename Factor>
struct FactorBlock {
  Factor *rows, *stacks;
  FactorBlock(Scratch& scratch, int64_t width) : rows(scratch.factors<Factor>(kBlock * width)), stacks(rows) {
    if constexpr (kNumbersOf<Factor> > 1) stacks += kBlock * width / kNumbersOf<Factor>;
  }
  template <typename T>
  void read(const T* from, int64_t stride, int64_t count, int64_t columns, int64_t width) const {
    readRows(from, stride, nullptr, count, columns, rows, width);
    if constexpr (kNumbersOf<Factor> > 1) readStacks(from, stride, nullptr, count, columns, stacks, width);
  }
};

// A block of scores S and dP, and what becomes of them: P = exp(S - logsumexp), dS = P (dP - delta). Of single numbers all in place.
template <typename Factor>
struct ScoreBlock {
  float *scores, *gradients;          // [kBlock, kBlock]
  NumberOf<Factor>* gradientRows;     // dS
  Factor *probabilityStacks, *gradientStacks;
  explicit ScoreBlock(Scratch& scratch) : scores(scratch.numbers(kBlock * kBlock)), gradients(scratch.numbers(kBlock * kBlock)) {
    if constexpr (kNumbersOf<Factor> == 1) {
      gradientRows = gradientStacks = gradients;
      probabilityStacks = scores;
    } else {
      gradientRows = reinterpret_cast<uint16_t*>(scratch.numbers(kBlock * kBlock / 2));
      gradientStacks = scratch.factors<Factor>(kBlock * kBlock / 2);
      probabilityStacks = scratch.factors<Factor>(kBlock * kBlock / 2);
    }
  }
};

inline void takeGradients(const ScoreBlock<float>& block, int64_t row, int64_t, int64_t columns, const float* logSumExp,
                          const float* deltas) {
  float* scores = block.scores + row * kBlock;
  float* gradients = block.gradients + row * kBlock;
  for (int64_t j = 0; j < columns; j += kWidth) {
    const Vec p = exponential(load(scores + j) - logSumExp[row]);
    store(scores + j, p);
    store(gradients + j, p * (load(gradients + j) - deltas[row]));
  }
}

#if defined(__AVX512BF16__)
// Of a row and the next one; there is none after the last of an odd number.
inline void takeGradients(const ScoreBlock<BfloatPair>& block, int64_t row, int64_t rows, int64_t columns,
                          const float* logSumExp, const float* deltas) {
  const int64_t at = row * kBlock, stack = at / 2;
  const bool hasNext = row + 1 < rows;
  for (int64_t j = 0; j < columns; j += kWidth) {
    HalfVec p[2]{}, gradient[2]{};
    for (int64_t i = 0; i < 1 + hasNext; i++) {
      const int64_t place = at + i * kBlock + j;
      const Vec probability = exponential(load(block.scores + place) - logSumExp[row + i]);
      p[i] = halvesOf(probability);
      gradient[i] = halvesOf(probability * (load(block.gradients + place) - deltas[row + i]));
      __builtin_memcpy(block.gradientRows + place, &gradient[i], sizeof gradient[i]);
    }
    storePairs(block.probabilityStacks + stack + j, p[0], p[1]);
    storePairs(block.gradientStacks + stack + j, gradient[0], gradient[1]);
  }
}
#endif

// Of either kind of factors.
inline int64_t attentionBackwardScratch(int64_t numKeys, int64_t headDim) {
  const int64_t width = widthOf(headDim);
  const int64_t keys = roundUp(numKeys, kBlock);
  return 2 * keys * headDim + 4 * keys * width + 3 * kBlock * width + 4 * kBlock * kBlock + kBlock;
}

template <typename T>
void attentionBackwardOf(const AttentionItem& item, float* memory) {
  using Factor = FactorOf<T>;
  constexpr int64_t kNumbers = kNumbersOf<Factor>;
  const int64_t E = item.headDim, width = widthOf(E), numKeys = item.numKeys;
  const int64_t keys = roundUp(numKeys, kBlock), depth = depthOf<Factor>(E);
  const Reach reach{item.offset, item.window};
  Scratch scratch{memory};
  Factor* transposedKeys = scratch.factors<Factor>(keys * E);
  Factor* transposedValues = scratch.factors<Factor>(keys * E);
  Factor* keyRows = scratch.factors<Factor>(keys * width);
  Factor* valueRows = scratch.factors<Factor>(keys * width);  // read once, to be transposed
  float* keyGradients = scratch.numbers(keys * width);
  float* valueGradients = scratch.numbers(keys * width);
  const FactorBlock<Factor> queries(scratch, width), outputGradients(scratch, width);
  float* queryGradients = scratch.numbers(kBlock * width);
  const ScoreBlock<Factor> block(scratch);
  float* deltas = scratch.numbers(kBlock);

  const T* key = static_cast<const T*>(item.key);
  readRows(static_cast<const T*>(item.value), item.valueStride, nullptr, numKeys, E, valueRows, width);
  transposeBlocks(valueRows, width / kNumbers, numKeys, depth, transposedValues);
  readRows(key, item.keyStride, nullptr, numKeys, E, keyRows, width);
  transposeBlocks(keyRows, width / kNumbers, numKeys, depth, transposedKeys);
  if constexpr (kNumbers > 1) readStacks(key, item.keyStride, nullptr, numKeys, E, keyRows, width);
  for (int64_t i = 0; i < keys * width; i++) keyGradients[i] = 0;
  for (int64_t i = 0; i < keys * width; i++) valueGradients[i] = 0;

  for (int64_t group = 0; group < item.numGroups; group++) {
    const int64_t head = group * E;
    const float* logSumExp = item.logSumExp + group * item.logSumExpStride;
    for (int64_t t = 0; t < item.numQueries; t += kBlock) {
      const int64_t rows = smaller(kBlock, item.numQueries - t);
      const T* output = static_cast<const T*>(item.output) + t * item.outputStride + head;
      const T* outputGradient = static_cast<const T*>(item.outputGradient) + t * item.outputStride + head;
      queries.read(static_cast<const T*>(item.query) + t * item.queryStride + head, item.queryStride, rows, E, width);
      outputGradients.read(outputGradient, item.outputStride, rows, E, width);
      for (int64_t i = 0; i < rows; i++) {
        Vec sum{};
        forEachVector(E, [&](int64_t e, auto extent) {
          const int64_t place = i * item.outputStride + e;
          sum += load(output + place, extent) * load(outputGradient + place, extent);
        });
        deltas[i] = sumOf(sum);
      }
      for (int64_t i = 0; i < rows * width; i++) queryGradients[i] = 0;
      const int64_t numBlocks = reach.numBlocks(t + rows - 1, numKeys);
      for (int64_t b = reach.firstBlock(t); b < numBlocks; b++) {
        const int64_t first = b * kBlock, count = smaller(kBlock, numKeys - first);
        const Factor* keyStacks = keyRows + first / kNumbers * width;
        scoreBlock(queries.rows, width, E, transposedKeys + first * depth, block.scores, t, rows, first, count, reach);
        scoreBlock(outputGradients.rows, width, E, transposedValues + first * depth, block.gradients, t, rows, first, count, reach);
        for (int64_t i = 0; i < rows; i += kNumbers) {
          // The same for both rows of a pair: they are of one group.
          const int64_t columns = columnsOf(t, i, rows, first, count, reach);
          for (int64_t r = i; r < smaller(i + kNumbers, rows); r++)
            hide(block.scores + r * kBlock, reach.first(t + r, first), reach.last(t + r, first, count), columns, kMinusInfinity);
          takeGradients(block, i, rows, columns, logSumExp + t, deltas);
        }
        // Keys beyond what a group of rows looks at were not written: they are skipped below as well.
        addProducts(block.gradientRows, keyStacks, width, queryGradients, t, rows, first, count, reach);
        addTransposedProducts(block.gradientStacks, queries.stacks, width, keyGradients + first * width, t, rows, first, count, reach);
        addTransposedProducts(block.probabilityStacks, outputGradients.stacks, width, valueGradients + first * width, t, rows, first,
                              count, reach);
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
