// See micro_interpreter.h.
#pragma once
void MicroPrintf(const char* format, ...);
