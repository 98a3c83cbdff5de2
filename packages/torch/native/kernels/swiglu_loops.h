// gate sigmoid(gate) up (Shazeer 2020) and its gradient, number by number.
#pragma once

#include "loops.h"
#include "vector.h"

namespace adapt {
namespace {

struct Gate {
  Vec gate;     // within +-87: beyond it the sigmoid is 0 or 1 in float32, and products with an infinity are not its limits
  Vec sigmoid;
};

inline Gate gateOf(Vec x) {
  constexpr float kMost = 87.0f;
  // Comparisons with NaN are false: it stays.
  const Vec above = x < -kMost ? broadcast(-kMost) : x;
  const Vec sigmoid = 1.0f / (exponential(-above) + 1.0f);
  return {above > kMost ? broadcast(kMost) : above, x < -kMost ? Vec{} : sigmoid};
}

template <typename T>
void swigluForwardOf(const GatedNumbers& numbers) {
  const T* gate = static_cast<const T*>(numbers.gate);
  const T* up = static_cast<const T*>(numbers.up);
  T* output = static_cast<T*>(numbers.output);
  forEachVector(numbers.count, [&](int64_t i, auto extent) {
    const Vec x = load(gate + i, extent);
    const Gate g = gateOf(x);
    store(output + i, (x > g.gate ? x : g.gate) * g.sigmoid * load(up + i, extent), extent);
  });
}

// With s the sigmoid: d gate = g up s (1 + gate (1 - s)),  d up = g gate s
template <typename T>
void swigluBackwardOf(const GatedNumbers& numbers) {
  const T* gate = static_cast<const T*>(numbers.gate);
  const T* up = static_cast<const T*>(numbers.up);
  const T* gradient = static_cast<const T*>(numbers.outputGradient);
  T* gateGradient = static_cast<T*>(numbers.gateGradient);
  T* upGradient = static_cast<T*>(numbers.upGradient);
  forEachVector(numbers.count, [&](int64_t i, auto extent) {
    const Vec x = load(gate + i, extent), g = load(gradient + i, extent);
    const auto [within, sigmoid] = gateOf(x);
    const Vec slope = sigmoid * (within * (1.0f - sigmoid) + 1.0f);
    store(gateGradient + i, g * load(up + i, extent) * slope, extent);
    store(upGradient + i, g * ((x > within ? x : within) * sigmoid), extent);
  });
}

void swigluForward(const GatedNumbers& numbers) {
  if (numbers.isBfloat16) swigluForwardOf<uint16_t>(numbers);
  else swigluForwardOf<float>(numbers);
}

void swigluBackward(const GatedNumbers& numbers) {
  if (numbers.isBfloat16) swigluBackwardOf<uint16_t>(numbers);
  else swigluBackwardOf<float>(numbers);
}

}  // namespace
}  // namespace adapt
