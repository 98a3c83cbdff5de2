// x / rms(x) * weight and its gradient, row by row (Zhang and Sennrich 2019).
#pragma once

#include "loops.h"
#include "vector.h"

namespace adapt {
namespace {

template <typename In, typename Out>
void rmsNormForwardOf(const NormRows& rows) {
  const int64_t D = rows.width;
  const float* weight = rows.weight;
  for (int64_t row = 0; row < rows.numRows; row++) {
    const In* x = static_cast<const In*>(rows.input) + row * D;
    Out* y = static_cast<Out*>(rows.output) + row * D;
    const double squares = meanOverRow(D, [&](int64_t i, auto extent) {
      const Vec v = load(x + i, extent);
      return v * v;
    });
    const float inverse = static_cast<float>(1 / __builtin_sqrt(squares + rows.epsilon));
    rows.inverse[row] = inverse;
    forEachVector(D, [&](int64_t i, auto extent) {
      store(y + i, load(x + i, extent) * inverse * load(weight + i, extent), extent);
    });
  }
}

// With r = 1 / rms, g the gradient of the output and h = g weight:
//   d x = r h - x r^3 mean(h x),   d weight = sum over rows of g x r
template <typename In, typename Out>
void rmsNormBackwardOf(const NormRows& rows) {
  const int64_t D = rows.width;
  const float* weight = rows.weight;
  if (rows.weightGradient != nullptr) {
    for (int64_t i = 0; i < D; i++) rows.weightGradient[i] = 0;
  }
  for (int64_t row = 0; row < rows.numRows; row++) {
    const In* x = static_cast<const In*>(rows.input) + row * D;
    const Out* g = static_cast<const Out*>(rows.outputGradient) + row * D;
    const float inverse = rows.inverse[row];
    if (rows.inputGradient != nullptr) {
      In* gradient = static_cast<In*>(rows.inputGradient) + row * D;
      const double product = meanOverRow(D, [&](int64_t i, auto extent) {
        return load(g + i, extent) * load(weight + i, extent) * load(x + i, extent);
      });
      const float along = static_cast<float>(product * inverse * inverse);
      forEachVector(D, [&](int64_t i, auto extent) {
        const Vec h = load(g + i, extent) * load(weight + i, extent);
        store(gradient + i, (h - load(x + i, extent) * along) * inverse, extent);
      });
    }
    if (rows.weightGradient != nullptr) {
      float* sums = rows.weightGradient;
      forEachVector(D, [&](int64_t i, auto extent) {
        store(sums + i, load(sums + i, extent) + load(g + i, extent) * load(x + i, extent) * inverse, extent);
      });
    }
  }
}

void rmsNormForward(const NormRows& rows) {
  withDtypes(rows.isInputBfloat16, rows.isOutputBfloat16,
             [&](auto in, auto out) { rmsNormForwardOf<decltype(in), decltype(out)>(rows); });
}

void rmsNormBackward(const NormRows& rows) {
  withDtypes(rows.isInputBfloat16, rows.isOutputBfloat16,
             [&](auto in, auto out) { rmsNormBackwardOf<decltype(in), decltype(out)>(rows); });
}

}  // namespace
}  // namespace adapt
