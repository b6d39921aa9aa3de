// What the sketch for sounds uses of Arduino's microphone, declared for a syntax check.
#pragma once
#include <cstddef>

struct PDMClass {
  int begin(int channels, int sampleRate);
  int available();
  int read(void* buffer, size_t size);
  void onReceive(void (*function)());
};
extern PDMClass PDM;
