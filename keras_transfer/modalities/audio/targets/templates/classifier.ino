// Written by keras-transfer $version. Listens to the microphone and prints what it hears to the serial monitor.
//
// Needs a TFLM library: "Arduino_TensorFlowLite" (github.com/tensorflow/tflite-micro-arduino-examples; a zip to add by
// Sketch > Include Library > Add .ZIP Library) or "Chirale_TensorFlowLite" of the library manager. The next line makes
// Arduino find it.
#include <TensorFlowLite.h>  // or <Chirale_TensorFlowLite.h>

#include <PDM.h>  // the microphone of Arduino's boards; of others read I2S in OnSamples()

#include "listener.h"

constexpr unsigned int kRing = 8192;  // samples between microphone and loop(): as long as the model may take

static int16_t ring[kRing];
static volatile unsigned int written = 0, taken = 0;
static bool ready = false;

// Called whenever the microphone has samples.
static void OnSamples() {
  static int16_t part[256];
  const int available = PDM.available();
  const int bytes = PDM.read(part, available < static_cast<int>(sizeof(part)) ? available : static_cast<int>(sizeof(part)));
  for (unsigned int i = 0; i < bytes / sizeof(int16_t); ++i) {
    ring[written % kRing] = part[i];
    written = written + 1;
  }
}

$report

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  ready = ClassifierBegin();
  PDM.onReceive(OnSamples);
  ready = ready && PDM.begin(1, kSampleRate);
  Serial.println(ready ? "Listening." : "The model or the microphone could not be set up.");
}

void loop() {
  if (!ready || written - taken < kHop) return;
  if (written - taken > kRing) {  // the model took too long: raise kInterval
    taken = written - kHop;
    Serial.println("Some sound was lost.");
  }
  int16_t samples[kHop];
  for (int i = 0; i < kHop; ++i) samples[i] = ring[(taken + i) % kRing];
  taken = taken + kHop;
  const float* scores = Listen(samples, kHop);
  if (scores != nullptr) Report(scores);
}
