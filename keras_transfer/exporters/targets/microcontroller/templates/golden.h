// Written by keras-transfer $version. Test items as the model takes them, and what it must answer, bit for bit.
// They are for golden_test.cc and the examples: leave them out of a product ($golden_bytes bytes of flash).
#ifndef GOLDEN_H_
#define GOLDEN_H_

#include <cstdint>

#include "model.h"

constexpr int kGoldenCount = $golden_count;
extern const int8_t g_golden_inputs[kGoldenCount][kInputBytes];
extern const int8_t g_golden_outputs[kGoldenCount][kClassCount];

#endif  // GOLDEN_H_
