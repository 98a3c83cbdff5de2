// (x - m) / max(|x - m|, epsilon), and <x, v>, row by row.
#pragma once

#include "loops.h"
#include "vector.h"

namespace adapt {
namespace {

void unitRows(const CentredRows& rows) {
  const int64_t D = rows.width;
  for (int64_t row = 0; row < rows.numRows; row++) {
    const float* x = rows.input + row * D;
    float* y = rows.output + row * D;
    const auto centred = [&](int64_t i, auto extent) {
      return rows.mean == nullptr ? load(x + i, extent) : load(x + i, extent) - load(rows.mean + i, extent);
    };
    const double squares = sumOverRow(D, [&](int64_t i, auto extent) {
      const Vec v = centred(i, extent);
      return v * v;
    });
    const double length = __builtin_sqrt(squares);
    // Not a number stays one.
    const float inverse = static_cast<float>(1 / (length < rows.epsilon ? rows.epsilon : length));
    forEachVector(D, [&](int64_t i, auto extent) { store(y + i, centred(i, extent) * inverse, extent); });
  }
}

void dotRows(const float* rows, int64_t numRows, int64_t width, const float* vector, float* output) {
  for (int64_t row = 0; row < numRows; row++, rows += width) {
    output[row] = static_cast<float>(
        sumOverRow(width, [&](int64_t i, auto extent) { return load(rows + i, extent) * load(vector + i, extent); }));
  }
}

}  // namespace
}  // namespace adapt
