// Written by keras-transfer $version.
#include "listener.h"

#include <string.h>

namespace {

int16_t g_samples[kWindow];  // of the frame that comes next
int g_held = 0;
int16_t g_logs[kFrames * kMels];  // a ring of frames: each is computed once
int g_next = 0;
int g_missing = kFrames;  // frames before the model is run

$smoothed

const float* Run() {
  LogMelInput(g_logs, g_next, ClassifierInput());
  const int8_t* scores = ClassifierRun();
  return scores == nullptr ? nullptr : Smoothed(scores);
}

}  // namespace

const float* Listen(const int16_t* samples, int count) {
  const float* scores = nullptr;
  for (int i = 0; i < count; ++i) {
    g_samples[g_held++] = samples[i];
    if (g_held < kWindow) continue;
    LogMelFrame(g_samples, g_logs + g_next * kMels);
    g_next = (g_next + 1) % kFrames;
    g_held = kWindow - kHop;
    memmove(g_samples, g_samples + kHop, g_held * sizeof(int16_t));
    if (--g_missing > 0) continue;
    g_missing = kInterval;
    scores = Run();
  }
  return scores;
}
