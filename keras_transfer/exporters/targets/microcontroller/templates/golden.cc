// Written by keras-transfer $version.
#include "golden.h"

const int8_t g_golden_outputs[kGoldenCount][kClassCount] = {
$golden_outputs
};

const int8_t g_golden_inputs[kGoldenCount][kInputBytes] = {
$golden_inputs
};
