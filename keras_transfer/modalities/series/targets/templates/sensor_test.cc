// Written by keras-transfer $version. Makes the model's input of the test series (sensor_test < golden_series.raw) and
// compares with Python's: 0 if every byte is equal.
#include <cstdio>

#include "golden.h"
#include "sensor.h"

int main() {
  static float samples[kInputBytes];
  int different = 0;
  for (int item = 0; item < kGoldenCount; ++item) {
    if (fread(samples, sizeof(float), kInputBytes, stdin) != kInputBytes) return 1;
    for (int i = 0; i < kInputBytes; ++i) {
      if (Quantize(Normalized(samples[i], i % kInputChannels)) != g_golden_inputs[item][i]) ++different;
    }
  }
  printf("%d series, %d of %d bytes differ.\n", kGoldenCount, different, kGoldenCount * kInputBytes);
  return different == 0 ? 0 : 1;
}
