// Written by keras-transfer $version. Makes the model's input of the test clips (log_mel_test < golden_clips.raw) and
// compares with Python's: 0 if none is further off than a step of 255.
#include <cstdio>
#include <cstdlib>

#include "golden.h"
#include "log_mel.h"

int main() {
  constexpr int kSamples = kWindow + (kFrames - 1) * kHop;
  static int16_t samples[kSamples], logs[kFrames * kMels];
  static int8_t input[kFrames * kMels];
  int largest = 0;
  for (int item = 0; item < kGoldenCount; ++item) {
    if (fread(samples, sizeof(int16_t), kSamples, stdin) != kSamples) return 1;
    for (int frame = 0; frame < kFrames; ++frame) LogMelFrame(samples + frame * kHop, logs + frame * kMels);
    LogMelInput(logs, 0, input);
    for (int i = 0; i < kInputBytes; ++i) {
      const int off = abs(input[i] - g_golden_inputs[item][i]);
      if (off > largest) largest = off;
    }
  }
  printf("%d clips, at most %d of 255 steps off.\n", kGoldenCount, largest);
  return largest <= 1 ? 0 : 1;
}
