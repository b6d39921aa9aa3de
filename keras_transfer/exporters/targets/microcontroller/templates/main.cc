// Written by keras-transfer $version. An example: classifies one image and prints the answer.
#include <cstdio>
#include <cstring>

#include "classifier.h"
#include "golden.h"

// Put your camera here: kInputHeight x kInputWidth pixels $order through QuantizePixel(), cut and resized as README.txt
// says. The image that stands in is a test image, so that the program can be tried before there is a camera.
static void ReadImage(int8_t* input) { memcpy(input, g_golden_inputs[0], kInputBytes); }

int main() {
  if (!ClassifierBegin()) return 1;
  ReadImage(ClassifierInput());
  const int8_t* scores = ClassifierRun();
  if (scores == nullptr) return 1;
  const int best = BestClass(scores);
  printf("%s: %d%%\n", g_labels[best], static_cast<int>(100 * Probability(scores[best]) + 0.5f));
  return 0;
}
