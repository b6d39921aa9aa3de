// Written by keras-transfer $version. An example: classifies one item and prints the answer.
#include <cstdio>
#include <cstring>

#include "classifier.h"
#include "golden.h"

$sensor
static void ReadInput(int8_t* input) { memcpy(input, g_golden_inputs[0], kInputBytes); }

int main() {
  if (!ClassifierBegin()) return 1;
  ReadInput(ClassifierInput());
  const int8_t* scores = ClassifierRun();
  if (scores == nullptr) return 1;
  if (ClassifierRejects()) {
    printf("none of these\n");
    return 0;
  }
  const int best = BestClass(scores);
  printf("%s: %d%%\n", g_labels[best], static_cast<int>(100 * Probability(scores[best]) + 0.5f));
  return 0;
}
