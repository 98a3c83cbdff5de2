// Rotation of the two halves of every head by the angles of its position (Su et al. 2021), and the way back of its gradient.
#pragma once

#include "loops.h"
#include "vector.h"

namespace adapt {
namespace {

// first' = first c1 - second s1,  second' = second c2 + first s2; backward the transpose of that, with c and s of either half.
template <typename In, typename Out, bool kBackward>
void rotateHeads(const RotaryHeads& heads) {
  const int64_t half = heads.half;
  for (int64_t head = 0; head < heads.numHeads; head++) {
    const In* x = static_cast<const In*>(heads.input) + head * heads.inputStride;
    const float* cosine = heads.cosine + head * heads.cosineStride;
    const float* sine = heads.sine + head * heads.sineStride;
    Out* y = static_cast<Out*>(heads.output) + head * 2 * half;
    forEachVector(half, [&](int64_t i, auto extent) {
      const Vec first = load(x + i, extent), second = load(x + half + i, extent);
      const Vec toFirst = load(sine + (kBackward ? half : 0) + i, extent) * second;
      const Vec toSecond = load(sine + (kBackward ? 0 : half) + i, extent) * first;
      const Vec turnedFirst = load(cosine + i, extent) * first;
      const Vec turnedSecond = load(cosine + half + i, extent) * second;
      store(y + i, kBackward ? turnedFirst + toFirst : turnedFirst - toFirst, extent);
      store(y + half + i, kBackward ? turnedSecond - toSecond : turnedSecond + toSecond, extent);
    });
  }
}

template <bool kBackward>
void rotate(const RotaryHeads& heads) {
  withDtypes(heads.isInputBfloat16, heads.isOutputBfloat16,
             [&](auto in, auto out) { rotateHeads<decltype(in), decltype(out), kBackward>(heads); });
}

void rotaryForward(const RotaryHeads& heads) { rotate<false>(heads); }

void rotaryBackward(const RotaryHeads& heads) { rotate<true>(heads); }

}  // namespace
}  // namespace adapt
