// -ln softmax(x)[label] of a row, and softmax(x) - onehot(label) in place of the row: the gradient of that by x.
#pragma once

#include "loops.h"
#include "tiles.h"
#include "vector.h"

namespace adapt {
namespace {

inline int64_t crossEntropyScratch(int64_t count) { return roundUp(count, kWidth); }

template <typename T>
float crossEntropyOf(const LogitRow& row, float* numbers) {
  T* x = static_cast<T*>(row.logits);
  const int64_t end = roundUp(row.count, kWidth);
  forEachVector(row.count, [&](int64_t i, auto extent) { store(numbers + i, load(x + i, extent)); });
  for (int64_t i = row.count; i < end; i++) numbers[i] = kMinusInfinity;
  const float own = numbers[row.label];

  Vec most = load(numbers);
  for (int64_t i = kWidth; i < end; i += kWidth) most = larger(most, load(numbers + i));
  const float largest = largestOf(most);
  Vec total{};
  for (int64_t i = 0; i < end; i += kWidth) {
    const Vec p = exponential(load(numbers + i) - largest);
    store(numbers + i, p);
    total += p;
  }
  const float sum = sumOf(total), inverse = 1 / sum;
  forEachVector(row.count, [&](int64_t i, auto extent) { store(x + i, load(numbers + i) * inverse, extent); });
  store(x + row.label, broadcast(numbers[row.label] * inverse - 1), First{1});
  return __builtin_logf(sum) - (own - largest);
}

float crossEntropy(const LogitRow& row, float* scratch) {
  return row.isBfloat16 ? crossEntropyOf<uint16_t>(row, scratch) : crossEntropyOf<float>(row, scratch);
}

}  // namespace
}  // namespace adapt
