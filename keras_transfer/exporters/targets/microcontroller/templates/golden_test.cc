// Written by keras-transfer $version. Runs the test items and compares with the answers that Python got: 0 if all agree.
#include <cstdio>
#include <cstring>

#include "classifier.h"
#include "golden.h"

int main() {
  if (!ClassifierBegin()) return 1;
  int wrong = 0;
  for (int item = 0; item < kGoldenCount; ++item) {
    memcpy(ClassifierInput(), g_golden_inputs[item], kInputBytes);
    const int8_t* scores = ClassifierRun();
    if (scores == nullptr) return 1;
    const bool same = memcmp(scores, g_golden_outputs[item], kClassCount) == 0;
    printf("item %d: %s (%s)\n", item, same ? "equal" : "DIFFERENT", g_labels[BestClass(scores)]);
    if (!same) ++wrong;
  }
  printf(wrong == 0 ? "All %d items agree.\n" : "Of %d items some differ.\n", kGoldenCount);
  return wrong == 0 ? 0 : 1;
}
