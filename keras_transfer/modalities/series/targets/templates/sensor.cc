// Written by keras-transfer $version.
#include "sensor.h"

#include <string.h>

namespace {

int8_t g_ring[kInputBytes];  // of moments, as the model takes them
int g_next = 0;
int g_missing = kInputLength;  // moments before the model is run

$smoothed

const float* Run() {
  const int oldest = g_next * kInputChannels;
  int8_t* input = ClassifierInput();
  memcpy(input, g_ring + oldest, kInputBytes - oldest);
  memcpy(input + kInputBytes - oldest, g_ring, oldest);
  const int8_t* scores = ClassifierRun();
  return scores == nullptr ? nullptr : Smoothed(scores);
}

}  // namespace

const float* Sense(const float* samples) {
  int8_t* moment = g_ring + g_next * kInputChannels;
  for (int i = 0; i < kInputChannels; ++i) moment[i] = Quantize(Normalized(samples[i], i));
  g_next = (g_next + 1) % kInputLength;
  if (--g_missing > 0) return nullptr;
  g_missing = kHop;
  return Run();
}
