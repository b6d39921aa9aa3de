// Written by keras-transfer $version. Classifies an item every second and prints the answer to the serial monitor.
//
// Needs a TFLM library: "Arduino_TensorFlowLite" (github.com/tensorflow/tflite-micro-arduino-examples; a zip to add by
// Sketch > Include Library > Add .ZIP Library) or "Chirale_TensorFlowLite" of the library manager. The next line makes
// Arduino find it.
#include <TensorFlowLite.h>  // or <Chirale_TensorFlowLite.h>

#include <string.h>

#include "classifier.h"
#include "golden.h"

$sensor
static void ReadInput(int8_t* input) { memcpy(input, g_golden_inputs[0], kInputBytes); }

static bool ready = false;

void setup() {
  Serial.begin(115200);
  while (!Serial && millis() < 5000) {
  }
  ready = ClassifierBegin();
  int equal = 0;
  for (int item = 0; ready && item < kGoldenCount; ++item) {
    memcpy(ClassifierInput(), g_golden_inputs[item], kInputBytes);
    const int8_t* scores = ClassifierRun();
    if (scores != nullptr && memcmp(scores, g_golden_outputs[item], kClassCount) == 0) ++equal;
  }
  Serial.print(ready ? "Test items answered as in Python: " : "The model could not be set up: ");
  Serial.println(equal);
}

void loop() {
  if (!ready) return;
  ReadInput(ClassifierInput());
  const unsigned long started = millis();
  const int8_t* scores = ClassifierRun();
  const unsigned long took = millis() - started;
  if (scores != nullptr) {
    const int best = BestClass(scores);
    Serial.print(ClassifierRejects() ? "none of these; likeliest " : "");
    Serial.print(g_labels[best]);
    Serial.print(" ");
    Serial.print(100 * Probability(scores[best]));
    Serial.print("%, ");
    Serial.print(took);
    Serial.println(" ms");
  }
  delay(1000);
}
