// (x - m) / max(|x - m|, epsilon), row by row.
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
    const double squares = meanOverRow(D, [&](int64_t i, auto extent) {
      const Vec v = centred(i, extent);
      return v * v;
    });
    const double length = __builtin_sqrt(squares * static_cast<double>(D));
    // Not a number stays one.
    const float inverse = static_cast<float>(1 / (length < rows.epsilon ? rows.epsilon : length));
    forEachVector(D, [&](int64_t i, auto extent) { store(y + i, centred(i, extent) * inverse, extent); });
  }
}

}  // namespace
}  // namespace adapt
