// Written by keras-transfer $version. Reads a sensor and prints what the model makes of it to the serial monitor.
//
// Needs a TFLM library: "Arduino_TensorFlowLite" (github.com/tensorflow/tflite-micro-arduino-examples; a zip to add by
// Sketch > Include Library > Add .ZIP Library) or "Chirale_TensorFlowLite" of the library manager. The next line makes
// Arduino find it.
#include <TensorFlowLite.h>  // or <Chirale_TensorFlowLite.h>

$library

#include "sensor.h"

// Microseconds from one moment to the next; the training data did not say their rate where it is 0: then the sensor's
// own is taken, which must be theirs.
constexpr unsigned long kPeriod = kSampleRate > 0 ? static_cast<unsigned long>(1000000 / kSampleRate) : 0;

static bool ready = false;
static unsigned long last = 0;  // when the last moment was added
static float moment[kInputChannels];  // the latest samples: $channels

$read

$report

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  ready = ClassifierBegin() && SensorBegin();
  Serial.println(ready ? "Ready." : "The model or the sensor could not be set up.");
  last = micros();
}

void loop() {
  if (!ready) return;
  const bool fresh = ReadSensor();
  const unsigned long behind = micros() - last;
  if (kPeriod > 0 ? behind < kPeriod : !fresh) return;
  last += kPeriod;  // moments that a run of the model took are made up for by the latest samples
  if (kPeriod > 0 && behind > kHop * kPeriod) {  // the model took too long: raise kHop
    last = micros();
    Serial.println("Some moments were lost.");
  }
  const float* scores = Sense(moment);
  if (scores != nullptr) Report(scores);
}
